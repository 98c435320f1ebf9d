"""Makes one call with one SDK, as an application would that uses it, and prints what came of it."""

import importlib
import json
import os

from job import Aborted, Job, say, say_error

# Each module has CLIENTS: a function for each way to use its SDK.
MODULES = {
    "anthropic-python": "use_anthropic",
    "boto3": "use_boto3",
    "genai-python": "use_genai",
    "langchain-python": "use_langchain",
    "litellm": "use_litellm",
    "openai-python": "use_openai",
}


def run() -> None:
    job = Job(**json.loads(os.environ["RECOUP_CLIENT_JOB"]))
    ask = importlib.import_module(MODULES[job.client.split("/")[0]]).CLIENTS[job.client]
    try:
        answer = ask(job)
    except Aborted:
        say(aborted=True)
    except Exception as e:
        say_error(e)
    else:
        answer.say()


if __name__ == "__main__":
    run()
