"""Any text generator as an LLM server: the one route of OpenAI's chat API that LIBER needs. Usage: PORT.

`generate` stands for yours. This one repeats facts of the prompt, so that the example runs anywhere.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def generate(prompt: str, max_tokens: int) -> str:
    """The text after `prompt`, of at most `max_tokens` tokens."""
    words = dict.fromkeys(word.strip(".,;:()\"'") for word in prompt.split() if word[:1].isupper())
    return "This listener keeps coming back to " + ", ".join(list(words)[-min(8, max_tokens // 4) :]) + "."


class Chat(BaseHTTPRequestHandler):
    """POST /v1/chat/completions."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one call; every other route is not there."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.send_error(404)
            return
        prompt = body["messages"][-1]["content"]
        said = generate(prompt, body["max_tokens"])
        answer = json.dumps({
            "object": "chat.completion", "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
            "usage": {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(said) // 4,
                      "total_tokens": (len(prompt) + len(said)) // 4},
        }).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Chat).serve_forever()
