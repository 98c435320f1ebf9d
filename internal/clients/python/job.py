"""What a driver is told, and how it says what came of it. ../doc.go has the protocol."""

import json
from dataclasses import dataclass, field

WEATHER = {
    "name": "weather",
    "description": "The weather of the next days",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}


@dataclass
class Job:
    """One call."""

    client: str
    call: str
    tools: bool
    key: str
    auto: bool
    timeout_ms: int
    max_retries: int | None
    abort_after: int
    model: str
    prompt: str

    @property
    def streams(self) -> bool:
        return self.call == "stream"

    @property
    def key_header(self) -> dict:
        return {"Idempotency-Key": self.key} if self.key else {}

    @property
    def auto_header(self) -> dict:
        """For an SDK that takes no headers from the environment."""
        return {"Recoup-Resume": "auto"} if self.auto else {}

    @property
    def options(self) -> dict:
        """What is said to most SDKs; what isn't is their default."""
        options = {}
        if self.timeout_ms:
            options["timeout"] = self.timeout_ms / 1000
        if self.max_retries is not None:
            options["max_retries"] = self.max_retries
        return options

    def messages(self) -> list:
        return [{"role": "user", "content": self.prompt}]


class Aborted(Exception):
    """The job said that the call is to be broken off here."""


@dataclass
class Answer:
    """What the SDK made of the response."""

    job: Job
    text: str = ""
    tools: list = field(default_factory=list)
    finish: str = ""
    input: int = 0
    output: int = 0
    complete: bool = False  # as a careful application could tell
    pieces: int = 0

    def piece(self, text: str | None) -> None:
        """Tells of a piece of the text, and breaks off behind the last that is wanted."""
        if not text:
            return
        say(delta=text)
        self.pieces += 1
        if self.pieces == self.job.abort_after:
            raise Aborted

    def tool(self, name: str, arguments) -> None:
        """Arguments are a text, or what the SDK made of it."""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, separators=(",", ":"))
        self.tools.append({"name": name, "arguments": arguments})

    def usage(self, input_tokens, output_tokens) -> None:
        self.input, self.output = input_tokens or 0, output_tokens or 0

    def say(self) -> None:
        say(
            answer={
                "text": self.text,
                "tools": self.tools,
                "finish": self.finish,
                "usage": {"input": self.input, "output": self.output},
                "complete": self.complete,
            }
        )


def say(**line) -> None:
    print(json.dumps(line), flush=True)


def say_error(e: BaseException) -> None:
    """What an application can see of an exception, whichever SDK raised it. The body of a
    response is looked into where the SDK doesn't do it itself."""
    body = getattr(e, "body", None) or getattr(e, "details", None)
    if isinstance(response := getattr(e, "response", None), dict):  # botocore's
        body = {"type": response["Error"]["Code"]}
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if not isinstance(body, dict):
        body = {}
    status = getattr(e, "status_code", None) or getattr(e, "code", None)
    code = body.get("code", getattr(e, "code", None))
    kind = body.get("type", body.get("status", getattr(e, "type", None)))
    say(
        error={
            "class": type(e).__name__,
            "status": status if isinstance(status, int) else None,
            "code": None if code is None else str(code),
            "type": None if kind is None else str(kind),
            "message": str(e),
        }
    )
