"""langchain-openai and langchain-anthropic. The SDKs within take Recoup-Resume from
OPENAI_CUSTOM_HEADERS and ANTHROPIC_CUSTOM_HEADERS; a key is an argument of the call."""

from job import WEATHER, Answer, Job
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI


def ask(job: Job, model) -> Answer:
    if job.tools:
        model = model.bind_tools([{"type": "function", "function": WEATHER}])
    if not job.streams:
        return of_message(job, model.invoke(job.prompt, extra_headers=job.key_header))
    seen, whole = Answer(job), None
    for chunk in model.stream(job.prompt, extra_headers=job.key_header):
        whole = chunk if whole is None else whole + chunk
        seen.piece(chunk.text)
    return of_message(job, whole) if whole else seen


def of_message(job: Job, message) -> Answer:
    meta, usage = message.response_metadata, message.usage_metadata or {}
    answer = Answer(job, text=str(message.text), finish=meta.get("finish_reason") or meta.get("stop_reason") or "")
    answer.usage(usage.get("input_tokens"), usage.get("output_tokens"))
    for call in message.tool_calls:
        answer.tool(call["name"], call["args"])
    answer.complete = answer.finish != ""
    return answer


def chat_openai(job: Job) -> Answer:
    # Where there is an OPENAI_BASE_URL it doesn't ask for the usage of a stream by itself.
    return ask(job, ChatOpenAI(model=job.model, stream_usage=True, **job.options))


def chat_anthropic(job: Job) -> Answer:
    return ask(job, ChatAnthropic(model=job.model, **job.options))


CLIENTS = {
    "langchain-python/openai": chat_openai,
    "langchain-python/anthropic": chat_anthropic,
}
