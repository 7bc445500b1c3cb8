"""The shared package of The GPT Ladder: one topic per module, each built in one lesson.

Import what you need from its module, as in `from lessons.attention import Head`.
This file imports nothing, so `import lessons` is instant.
"""
