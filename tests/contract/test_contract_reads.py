"""What is only read: sessions by page, configs, bots, the API's own description."""

from contract_driver import Server, chat, new_name

from astrometer.api import endpoints as ep

ONE_TOKEN = "[[ttft=0 tokens=1]]"


def test_sessions_are_paged_the_newest_first(astrbot: Server) -> None:
    username = new_name("user")
    made = [new_name("session") for _ in range(3)]
    for session_id in made:
        chat(astrbot, ONE_TOKEN, username=username, session_id=session_id)
    page = {"username": username, "page_size": 2}
    first = astrbot.call(ep.SESSIONS, params={**page, "page": 1}).json()["data"]
    second = astrbot.call(ep.SESSIONS, params={**page, "page": 2}).json()["data"]
    assert [row["session_id"] for row in first["sessions"] + second["sessions"]] == made[::-1]
    assert (first["page"], first["page_size"], first["total"]) == (1, 2, 3)
    assert set(first["sessions"][0]) == {
        "session_id", "platform_id", "creator", "display_name", "is_group", "created_at", "updated_at"
    }  # fmt: skip
    assert first["sessions"][0]["creator"] == username


def test_the_page_and_its_size_are_clamped(astrbot: Server) -> None:
    query = {"username": new_name("nobody"), "page": "0", "page_size": "1000"}
    data = astrbot.call(ep.SESSIONS, params=query).json()["data"]
    assert data == {"sessions": [], "page": 1, "page_size": 100, "total": 0}


def test_a_page_that_is_no_number_is_an_error_in_http_200(astrbot: Server) -> None:
    answer = astrbot.call(ep.SESSIONS, params={"username": "u", "page": "abc"})
    assert (answer.status_code, answer.json()["message"]) == (200, "page and page_size must be integers")


def test_any_chat_key_lists_the_sessions_of_any_user(astrbot: Server) -> None:
    username = new_name("user")
    chat(astrbot, ONE_TOKEN, username=username, key="all")
    assert astrbot.call(ep.SESSIONS, key="chat", params={"username": username}).json()["data"]["total"] == 1


def test_the_default_config_is_listed(astrbot: Server) -> None:
    (config,) = astrbot.call(ep.CONFIGS, key="config").json()["data"]["configs"]
    assert (config["id"], config["name"], config["is_default"]) == ("default", "default", True)
    assert config["path"].endswith("cmd_config.json")


def test_webchat_is_no_bot(astrbot: Server) -> None:
    assert astrbot.call(ep.IM_BOTS, key="im").json()["data"] == {"bot_ids": []}


def test_the_f_family_describes_itself_but_hides_configs_and_im_message(astrbot: Server) -> None:
    if not astrbot.fastapi:
        assert astrbot.raw("GET", ep.OPENAPI.path).status_code == 401
        return
    document = astrbot.raw("GET", ep.OPENAPI.path).json()
    assert "post" in document["paths"][ep.CHAT.path]
    assert ep.CONFIGS.path not in document["paths"]
    assert ep.IM_MESSAGE.path not in document["paths"]
    assert document["paths"][ep.UPLOAD.path]["post"]["x-astrbot-scope"] == "file"
