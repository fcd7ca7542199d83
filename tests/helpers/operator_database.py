"""A database as AstrBot 4.29.3 makes it, with made-up traffic of a known shape and texts to look for."""

import random
import sqlite3

SCHEMA = """
CREATE TABLE provider_stats (
    created_at DATETIME, updated_at DATETIME, id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_type VARCHAR NOT NULL, status VARCHAR NOT NULL,
    umo VARCHAR NOT NULL, conversation_id VARCHAR, provider_id VARCHAR NOT NULL,
    provider_model VARCHAR, token_input_other INTEGER NOT NULL, token_input_cached INTEGER NOT NULL,
    token_output INTEGER NOT NULL, start_time FLOAT NOT NULL, end_time FLOAT NOT NULL,
    time_to_first_token FLOAT NOT NULL
);
CREATE TABLE conversations (conversation_id VARCHAR, user_id VARCHAR, content JSON, title VARCHAR);
"""
INSERT = """
INSERT INTO provider_stats (agent_type, status, umo, conversation_id, provider_id, provider_model,
    token_input_other, token_input_cached, token_output, start_time, end_time, time_to_first_token)
VALUES ('internal', 'completed', ?, ?, 'secret-provider', 'secret-model', ?, 512, ?, ?, ?, 0.5)
"""
SYSTEM_TOKENS, REMINDER_TOKENS = 1500, 20
START = 1_790_000_000.0


def make_database(path, chats, *, wal=False):
    """`chats`: (umo, conversation id, [(start, end, tokens of the question, of the answer)])."""
    database = sqlite3.connect(path)
    if wal:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
    database.executescript(SCHEMA)
    for umo, conversation, turns in chats:
        sent = SYSTEM_TOKENS
        for start, end, question, answer in turns:
            sent += question + REMINDER_TOKENS
            database.execute(INSERT, (umo, conversation, sent - 512, answer, start, end))
            sent += answer
        text = f"the secret of {conversation}"
        database.execute("INSERT INTO conversations VALUES (?, ?, ?, ?)", (conversation, umo, text, text))
    database.commit()
    return database


def known_traffic(*, conversations=3000, hours=40, seed=3):
    """Poisson conversations of 1 to 6 turns, log-normal pauses (median 45 s), answers of 4 s; the truth."""
    rng = random.Random(seed)
    chats, pauses, lengths, starts, people = [], [], [], [], set()
    for number in range(conversations):
        start = START + rng.random() * hours * 3600
        turns = []
        lengths.append(rng.randint(1, 6))
        for turn in range(lengths[-1]):
            if turn:
                pauses.append(min(1500.0, rng.lognormvariate(3.8, 0.8)))
                start = turns[-1][1] + pauses[-1]
            turns.append((start, start + 4.0, rng.randint(5, 400), rng.randint(20, 600)))
        starts += [turn[0] for turn in turns]
        who = rng.randrange(200)
        umo = f"qq:FriendMessage:90000{who:04d}"
        if number % 4 == 0:
            umo = f"webchat:FriendMessage:webchat!person-{who}!session-{number}"
        people.add(umo.split("!session")[0])
        chats.append((umo, f"conversation-{number}", turns))
    return chats, {"pauses": pauses, "lengths": lengths, "starts": starts, "people": len(people)}
