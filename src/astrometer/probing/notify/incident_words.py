"""Layer and reason of a state -> whose fault it is and what to do, in words for a phone."""

import re

from astrometer.probing.status.layer_evidence import StateLayer

WHOSE = {
    StateLayer.NETWORK: "AstrBot is stopped, or the network to it is broken",
    StateLayer.ASTRBOT: "AstrBot, not the model",
    StateLayer.KEY: "the API key, not AstrBot",
    StateLayer.MODEL: "the model, not AstrBot",
    StateLayer.MESSENGER: "the messenger's adapter, not the model",
    StateLayer.CONTENT: "the model's answers, not AstrBot",
}
# Of every reason that a state can have; a test goes through them.
_SEEN = {
    "dns": "its name cannot be resolved",
    "connect": "nothing listens at its address",
    "tls": "its certificate or TLS is refused",
    "timeout_connect": "its host does not answer",
    "reset": "the connection broke",
    "keepalive_race": "it closed a connection just as a question was sent",
    "encoded": "something compresses answers that were asked for as they are",
    "buffered": "a proxy holds answers back",
    "retransmits": "the network loses packets",
    "timeout_total": "no answer in time",
    "timeout_first_token": "no first token in time",
    "stalled": "an answer stopped in the middle",
    "rate_limited": "it refuses further requests (429)",
    "client_error": "it refuses a good request (4xx)",
    "server_error": "it fails at requests (5xx)",
    "api_error": "it answers with an error",
    "not_sse": "a chat is not answered with a stream",
    "stream_error": "an answer ends with an error",
    "malformed": "an answer cannot be read",
    "truncated": "an answer breaks off before its end",
    "agent_error": "it fails inside: an exception is its answer",
    "not_asked": "it answers without asking the model",
    "unauthorized": "the key is refused (401): revoked, expired or mistyped",
    "forbidden": "the key may not do what it should (403)",
    "leak": "a key may do more than its scopes say",
    "llm_error": "the provider refuses or fails",
    "empty_answer": "answers are empty",
    "slow": "answers are good, but late",
    "lost_link": "no messenger is connected",
    "silent": "no reply in the messenger",
    "misrouted": "replies reach the wrong chat",
    "duplicated": "one question gets two replies",
    "canary_mismatch": "answers do not contain what was asked for",
    "blocked": "a content filter blocks answers",
    "budget": "the probes' budget of today is spent",
    "not_restarted": "it was updated and still runs the old version",
}
_OF_LAYER = {
    StateLayer.NETWORK: "Start AstrBot; check its host, its address and the firewall.",
    StateLayer.ASTRBOT: "Read AstrBot's log; restart it if it hangs.",
    StateLayer.KEY: "Make a new key in AstrBot's WebUI and put it into the key file.",
    StateLayer.MODEL: "Check the provider's status, balance and key in AstrBot's WebUI.",
    StateLayer.MESSENGER: "Start the messenger's client (NapCat or another) and log in again.",
    StateLayer.CONTENT: "Ask the bot yourself; check the model, the persona and the content filter.",
}
_CURE = {
    "connect": "Start AstrBot, then read the end of its log.",
    "dns": "Check the name in the config and the DNS server.",
    "tls": "Renew the certificate, or check ca_file in the config.",
    "timeout_connect": "Check the host, the network and the firewall.",
    "timeout_total": "AstrBot hangs or is overloaded: read its log, then restart it.",
    "rate_limited": "Raise the rate limit in AstrBot, or probe less often.",
    "forbidden": "Give the key its scope back in AstrBot's WebUI.",
    "leak": "Take the scope away from the key, or revoke it, now.",
    "buffered": "Switch off buffering in the proxy in front of AstrBot.",
    "retransmits": "Check the network between astrometer and AstrBot.",
    "slow": "Ask the provider, or choose a faster model.",
    "not_restarted": "Restart AstrBot: until then parts of both versions may run.",
}
_BUDGET_CURE = "Nobody watches the model until midnight UTC. Raise the budget, or ask less often."
_SLOW_ASTRBOT = "AstrBot is busy: see who asks it, and its plugins."
# Of a provider's failure the status alone: its text may hold anything.
_STATUS = re.compile(r"(?<![\w.])(4\d\d|5\d\d)(?![\w.])")
_PROVIDER = {
    "401": "Put a valid key of the provider into AstrBot's WebUI.",
    "402": "Pay the provider's bill.",
    "403": "The provider refuses this key or this region: check both.",
    "404": "The provider has no such model: choose another one in AstrBot's WebUI.",
    "429": "The provider's quota is used up or its rate limit is met: pay, or wait.",
}


def seen(reason: str, detail: str = "") -> str:
    """What was seen. `detail`: of a run that failed so."""
    if reason == "llm_error" and (status := _STATUS.search(detail)):
        return f"{status[1]} from the provider"
    return _SEEN.get(reason, reason.replace("_", " "))


def cure(layer: StateLayer, reason: str, detail: str = "") -> str:
    if reason == "budget":
        return _BUDGET_CURE
    if reason == "slow" and layer is not StateLayer.MODEL:
        return _SLOW_ASTRBOT
    if reason == "llm_error" and (status := _STATUS.search(detail)):
        return _PROVIDER.get(status[1], _OF_LAYER[layer])
    return _CURE.get(reason, _OF_LAYER[layer])
