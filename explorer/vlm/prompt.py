"""A question as token ids: checked, cleaned of control tokens, put into the chat template.

Knows tokenizers and chat templates, not pictures. Shared by every family.
"""

from __future__ import annotations

import re

from explorer.errors import BadQuestion, ModelUnavailable
from explorer.vlm.components import ChatPrompt

MAX_CHARACTERS = 500
HALF_CHARACTER = re.compile(
    "[\ud800-\udfff]"
)  # one of a pair of surrogates, which no text may hold
QUESTION = "\ue000"  # where the template is to put the question: no language writes it


def check_question(question: str) -> str:
    """Give the question without surrounding blanks, or raise `BadQuestion` with a sentence."""
    if not isinstance(question, str):
        raise BadQuestion("Please type a question about the picture; there is none yet.")
    question = " ".join(question.split())
    if HALF_CHARACTER.search(question):
        raise BadQuestion(
            "The question holds half a character (of an emoji?); please type it anew."
        )
    if not question:
        raise BadQuestion("Please type a question about the picture.")
    if len(question) > MAX_CHARACTERS:
        raise BadQuestion(
            f"The question has {len(question)} characters; please keep it under "
            f"{MAX_CHARACTERS + 1}."
        )
    return question


def as_read(question: str, tokenizer) -> str:
    """Give the question as the model reads it, which may be nothing at all.

    The model's control tokens are taken out, so that a question can't smuggle in a picture or EOS;
    repeated until nothing changes, since a removal may join the halves of another token.
    """
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    tokens = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)
    read, before = question, None
    while before != read:
        before = read
        for token in tokens:
            read = read.replace(token, " ")
    if read == question:
        return question.strip()
    return re.sub(r"[ \t]+", " ", read).strip()


def unknown_words(question: str, tokenizer) -> list[str]:
    """List the words that the model can only read as "unknown", in the order of the question."""
    if tokenizer.unk_token_id is None:
        return []
    read = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    pairs = zip(read["input_ids"], read["offset_mapping"], strict=True)
    words = [question[a:b] for token, (a, b) in pairs if token == tokenizer.unk_token_id]
    return list(dict.fromkeys(word for word in words if word))


def build_chat(
    processor, question: str, placeholder: str, picture: str, image_id: int, kind: str = "image"
) -> ChatPrompt:
    """Write the prompt with the model's own chat template.

    placeholder: what the template writes for a picture, or for another kind: "video"; picture: what
    takes its place, visual tokens (image_id) and whatever the model wants around and between them,
    which is no text.
    """
    tokenizer = processor.tokenizer
    question = as_read(question, tokenizer)
    content = [{"type": kind}, {"type": "text", "text": QUESTION}]
    template = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    before, found, after = template.partition(placeholder)
    if not found:
        raise ModelUnavailable(f"This model's chat template has no place for a {kind}.")
    framed, _, response_header = (before + picture + after).partition(QUESTION)
    text = framed + question + response_header
    question_end = len(framed) + len(question)
    picture_start = len(before)
    if len(before) > len(framed):  # a template may write the picture behind the question
        picture_start += len(question) - len(QUESTION)
    has_bos = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    encoded = tokenizer(
        text, add_special_tokens=not has_bos, return_offsets_mapping=True, return_tensors="pt"
    )
    input_ids = encoded["input_ids"]
    start, end = encoded["offset_mapping"][0].unbind(-1)
    is_visual = input_ids[0] == image_id
    control = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id]
    is_text = (start < picture_start) | (start >= picture_start + len(picture))
    for token in control:
        if token is not None:
            is_text &= input_ids[0] != token
    if input_ids[0, 0] != tokenizer.bos_token_id:
        is_text[0] = False
    is_question = is_text & (end > len(framed)) & (start < question_end)
    n_response_header = max(1, int((start >= question_end).sum()))
    return ChatPrompt(input_ids, is_visual.nonzero()[:, 0], is_text, is_question, n_response_header)
