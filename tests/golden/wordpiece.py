"""Writes tests/golden/wordpiece.json: WordPiece ids of awkward texts under a tiny vocabulary, by a plain transcription of the
rules of BERT's uncased tokenizer (Devlin et al. 2019) over Python's unicodedata. Lower-casing is a code point at a time."""
import json
import os
import random
import unicodedata

here = os.path.dirname(os.path.abspath(__file__))
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
vocabulary += list("abcdefgimnopstu0129") + ["##" + c for c in "abcdefinorst012"]
vocabulary += ["the", "then", "##en", "##ing", "token", "##ization", "un", "##aff", "##able", "unaffable", "cafe", "ß", "##ß"]
vocabulary += list(".,!?-_'#[]@$+<=>^`|~\\") + ["—", "’", "¿", "。", "«"]
vocabulary += ["中", "文", "豈", "更", "σ", "##σ", "##ο", "ο", "и", "##и", "ᄒ", "##ᅡ", "##ᆫ", "##ᄀ", "ﬁ", "##ne", "½", "##²", "に", "##か"]
vocabulary += ["##" + "ab" * 4, "aaaa", "##aaaa"]
ids = {token: i for i, token in enumerate(vocabulary)}


def is_cjk(c):
    return any(a <= ord(c) <= b for a, b in ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
                                             (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)))


def is_punctuation(c):
    return 33 <= ord(c) <= 47 or 58 <= ord(c) <= 64 or 91 <= ord(c) <= 96 or 123 <= ord(c) <= 126 or \
        unicodedata.category(c)[0] == "P"


def words(text):
    cleaned = ""
    for c in text:
        if c in "\t\n\r" or unicodedata.category(c) == "Zs":
            cleaned += " "
        elif ord(c) in (0, 0xFFFD) or unicodedata.category(c)[0] == "C":
            continue
        else:
            cleaned += " " + c + " " if is_cjk(c) else c
    for word in cleaned.split():
        word = "".join(c.lower() for c in word)
        word = "".join(c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")
        part = ""
        for c in word:
            if is_punctuation(c):
                if part:
                    yield part
                yield c
                part = ""
            else:
                part += c
        if part:
            yield part


def encode(text):
    out = []
    for word in words(text):
        pieces, start = [], 0
        while start < len(word) and len(word) <= 100:
            end = len(word)
            while end > start and ("##" if start else "") + word[start:end] not in ids:
                end -= 1
            if end == start:
                break
            pieces.append(ids[("##" if start else "") + word[start:end]])
            start = end
        out += pieces if start == len(word) else [ids["[UNK]"]]
    return out


texts = ["", " \t\n", "the then thenn theninging", "unaffable UNAFFABLE unaffables tokenization", "Café CAFÉ cafe\u0301 c\u0301",
         "a,b!!c--d's [UNK] [CLS] ##able", "中文x中 豈更 \U0002f800", "Σσς ο ΟΟ", "И\u0306й", "한국 한", "ﬁne ½ a² ß ẞ İi",
         "a\u200bb\u00a0c\u2028d\u2029e\u3000f\u0085a\x1cb", "a" * 99, "a" * 100, "a" * 101, "a\u0301" * 100, "a\u0301" * 101,
         "中" * 101, "." * 120, "\ufffda\x00b\x7fc", "«a» ¿b? 。 —’", "にか", "ab" * 50 + " the", "\U0001f600 \ue000a"]
random.seed(7)
alphabet = "aabcdeinot  .,-\u0301中豈한Éßσ\u00a0\u2028\ufffd\u200bﬁ½A#1ΣЙ"
cases = [text.encode() for text in texts]
cases += ["".join(random.choice(alphabet) for _ in range(random.randrange(60))).encode() for _ in range(60)]
cases += [bytes(random.choice(b"ab \xc3\xa9\xe4\xb8\xad\xff\xed\xa0\x80\xf0\x9f.\x00the") for _ in range(random.randrange(50)))
          for _ in range(60)]
with open(os.path.join(here, "wordpiece.json"), "w") as file:
    json.dump({"by": "tests/golden/wordpiece.py, Unicode " + unicodedata.unidata_version, "vocabulary": vocabulary,
               "cases": [{"hex": c.hex(), "ids": encode(c.decode("utf-8", "replace"))} for c in cases]}, file,
              ensure_ascii=True, separators=(",", ":"))
    file.write("\n")
