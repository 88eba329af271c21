# Short names for developers; everything is done by ./voicechat.
.PHONY: up test check sample coverage

up:
	./voicechat up

test:
	./voicechat test

check:
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

sample:
	./voicechat config sample > config/sample.yaml

coverage:
	.venv/bin/python -m tests.spec.coverage
