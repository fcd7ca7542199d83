"""People send files: photographs, voice, documents; they ask about them and fetch them back.

    ASTRBOT_API_KEY=... locust -f locustfiles/uploads.py --host http://127.0.0.1:6185

Needs a key with the scopes `file` and `chat`. AstrBot keeps uploads; they go when a session that used them is
deleted.
"""

from typing import NamedTuple

from locust import between, task

from astrometer.load import Attachment, AttachmentKind, ChatUser, Plain, SampleFile, UploadUser

KIB = 1024


class Habit(NamedTuple):
    """A sort of file that people send, and how large it is."""

    kind: AttachmentKind
    suffix: str
    content_type: str
    smallest: int
    largest: int


HABITS = (
    (Habit("image", ".png", "image/png", 40 * KIB, 600 * KIB), 45),  # a picture off the web
    (Habit("image", ".png", "image/png", 1500 * KIB, 5000 * KIB), 10),  # a phone's photograph
    (Habit("record", ".wav", "audio/wav", 60 * KIB, 400 * KIB), 15),  # a voice message
    (Habit("file", ".txt", "text/plain", 1 * KIB, 60 * KIB), 20),
    (Habit("file", ".pdf", "application/pdf", 100 * KIB, 3000 * KIB), 10),
)


class Sender(UploadUser, ChatUser):
    """Uploads something, then does something with it."""

    scenario = "uploads"
    wait_time = between(2, 6)

    def pick_file(self) -> tuple[Habit, SampleFile]:
        (habit,) = self.random.choices([h for h, _ in HABITS], [weight for _, weight in HABITS])
        # Small files are more common than large ones of the same sort.
        size = int(habit.smallest * (habit.largest / habit.smallest) ** self.random.random())
        return habit, SampleFile.make(habit.suffix, habit.content_type, size)

    @task(3)
    def ask_about_a_file(self) -> None:
        habit, file = self.pick_file()
        attachment_id = self.upload(file)
        if attachment_id is not None:
            self.ask([Plain(text=self.prompt()), Attachment(kind=habit.kind, attachment_id=attachment_id)])

    @task(1)
    def fetch_it_back(self) -> None:
        _, file = self.pick_file()
        attachment_id = self.upload(file)
        if attachment_id is not None:
            self.download(attachment_id, file)
