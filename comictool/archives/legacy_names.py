"""Names out of times before Unicode: which of a few encodings the bytes of all names of an archive are most likely in.

Detectors made for running text fail on names of a few characters. Here each encoding has a small model of what people
write in it: shares of the characters, whether they come in runs, and whether they stand among ASCII letters. The
likeliest one wins, all names taken together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# Frequent characters, from common words and titles of comics. All others of an encoding share the rest.
_KANA = "".join(map(chr, range(0x3041, 0x3094))) + "".join(map(chr, range(0x30A1, 0x30F7))) + "ー"
_KANJI = (
    "第話巻章回上中下前後編集部表紙裏目次頁扉絵見開末完全版特別番外漫画一二三四五六七八九十百千万日人年大本国出会時行間学生東西南北"
    "京手自分力気心新古高白黒赤青金銀銃火水木土月星空海山川花風雷雨雪光闇夜朝夢愛恋姫王女男子少神魔鬼竜龍獣犬猫鳥魚虫世界戦士兵"
    "器城都町村家族父母兄弟姉妹先輩達者方物語伝説記録小説作品原案著名探偵事件銃刀剣術忍法師将軍英雄転異召喚剣聖悪役令嬢食堂旅館探"
    "検校園部活動音楽野球料理医私僕君彼俺何今明昨来最終始再初期冬春夏秋白雪姫夫婦結婚友情報告白色電車道場所店地獄天使命運進撃巨人"
    "滅刃喰種宝石寄生匙錬術呪廻葬送約束国鉄腕原子残酷連載単行収録増補改訂新装文庫雑誌週刊月刊号増付予告"
)
_HANZI = (
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起"
    "还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声"
    "全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产"
    "先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利受光王果"
    "亲界及今京务制解各任至清物台象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃义科怎元社术结六功指思非流每青管"
    "卷册集章页漫画封底录番图彩完结尾版汉翻译组扫描杂志连载单行本灌篮侦探柯猫龙珠鬼灭刃巨影忍丁历险游传奇侠剑魔法师武斗破苍穹镇魂街"
)
_HANZI_TRADITIONAL = (
    "的一是不了在人有我他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可她裡後小麼心多天而能好都然沒日於起"
    "還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長知民樣現分將外但身些與高意進把法此實回二理美點月明其種聲"
    "全工己話兒者向情部正名定女問力機給等幾很業最間新什打便位因重被走電四第門相次東政海口使教西再平真聽世氣信北少關並內加化由卻代軍產"
    "先山五太水萬市眼體別處總才場師書比住員九笑性通目華報立馬命張活難神數件安表原車白應路期叫死常提感金何更反合放做系計或司利受光王果"
    "卷冊集章頁漫畫封底錄番圖彩完結尾版漢翻譯組掃描雜誌連載單行本灌籃偵探柯貓龍珠鬼滅刃巨影忍丁歷險遊傳奇俠劍魔法師武鬥破蒼穹篇資料夾"
)
_HANGUL = (
    "이다는에의을가고지로기사하리서자은도어한나시아그대인스를제정해라수일전부소보상마주동신여장들화과있러무만원선구조안공비모문세성용우오"
    "재면연경미유방게치내적었거트생실중작말요되니외물르회국분관개차계계단위호양진심권편표목후뒤완결컬책판본별특번권번역스캔그림만화외전상하"
    "왕검마법사괴용녀남천귀혼멸칼날탑혼레벨업명탐정열혈강호드래곤볼피슬램덩크루토의탑새폴더쪽컷삼국지서유봉신태백산맥궁달빛조각꽃보다"
)
_KANJI_OF_BOOKS, _HANZI_OF_BOOKS, _TRADITIONAL_OF_BOOKS, _HANGUL_OF_BOOKS = (
    "第話巻章回集上中下前後編表紙０１２３４５６７８９",
    "第话卷章回集上中下页封面０１２３４５６７８９",
    "第話卷章回集上中下頁冊封面０１２３４５６７８９",
    "제화권장편회부표지",
)
_ACCENTS, _RARER_ACCENTS = "éèàçüöäáóíñêã", "âîôûùëïúßøåæõ¿¡"
_CAPITAL_ACCENTS = "ÉÈÀÇÜÖÄÁÓÍÑÊÃÂÎÔÛÙËÏÚØÅÆÕ"
_CYRILLIC, _RARER_CYRILLIC = "оеаинтсрвлкм", "дпуяыьгзбчйхжшюцщэфъё"
_ASIAN_SIGNS = "　、。・「」『』【】（）！？～☆★…：“”《》〈〉" + "".join(map(chr, range(0xFF10, 0xFF1A)))
_NARROW_KANA = "".join(map(chr, range(0xFF66, 0xFFA0)))


@dataclass(frozen=True)
class _Model:
    """What names in an encoding look like: shares of groups of characters, and of those among ASCII letters."""

    encoding: str
    shares: tuple[tuple[str, float], ...]
    others: float  # what is left for each further character
    run: float  # how often a foreign character follows a foreign one
    among_letters: float  # how often it touches an ASCII letter
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group, share in self.shares:
            characters = set(group)
            weight = math.log(share / len(characters))
            for character in characters:
                self.weights[character] = max(weight, self.weights.get(character, -math.inf))


def _level(encoding: str, first: int, last: int) -> str:
    """The characters that an encoding lists first, the common ones, by the range of their first bytes."""
    rows = (bytes((row, column)) for row in range(first, last + 1) for column in range(0x40, 0xFF))
    return "".join(code.decode(encoding, "ignore") for code in rows)


_JAPANESE = (
    *((_KANA, 0.42), (_KANJI_OF_BOOKS, 0.2), (_KANJI, 0.2), (_level("cp932", 0x88, 0x97), 0.1)),
    *((_ASIAN_SIGNS, 0.06), (_NARROW_KANA, 0.01)),
)
_CHINESE = ((_HANZI_OF_BOOKS, 0.25), (_HANZI, 0.5), (_level("gb2312", 0xB0, 0xD7), 0.18), (_ASIAN_SIGNS, 0.05))
_TAIWANESE = (
    *((_TRADITIONAL_OF_BOOKS, 0.25), (_HANZI_TRADITIONAL, 0.5), (_level("cp950", 0xA4, 0xC6), 0.18)),
    (_ASIAN_SIGNS, 0.05),
)
_KOREAN = ((_HANGUL_OF_BOOKS, 0.25), (_HANGUL, 0.55), (_level("euc_kr", 0xB0, 0xC8), 0.18), (_ASIAN_SIGNS, 0.01))
_LATIN = ((_ACCENTS, 0.75), (_RARER_ACCENTS, 0.14), (_CAPITAL_ACCENTS, 0.08))
_RUSSIAN = ((_CYRILLIC, 0.63), (_RARER_CYRILLIC, 0.22), ((_CYRILLIC + _RARER_CYRILLIC).upper(), 0.13))
_LANGUAGES = (_JAPANESE, _CHINESE, _TAIWANESE, _KOREAN, _LATIN, _RUSSIAN)
_ANY = tuple((group, share / len(_LANGUAGES)) for language in _LANGUAGES for group, share in language)
# What no group lists shares the rest: thousands of rare characters, or the signs and lines of the single-byte ones.
_MODELS = (
    _Model("utf-8", _ANY, 0.02 / 30_000, 0.6, 0.3),
    _Model("cp932", _JAPANESE, 0.01 / 4000, 0.8, 0.1),
    _Model("gb18030", _CHINESE, 0.02 / 20_000, 0.8, 0.1),
    _Model("cp950", _TAIWANESE, 0.02 / 8000, 0.8, 0.1),
    _Model("cp949", _KOREAN, 0.01 / 14_000, 0.75, 0.1),
    _Model("cp437", _LATIN, 0.03 / 1000, 0.03, 0.8),
    _Model("cp850", _LATIN, 0.03 / 1000, 0.03, 0.8),
    _Model("cp1252", _LATIN, 0.03 / 1000, 0.03, 0.8),
    _Model("cp866", _RUSSIAN, 0.02 / 1000, 0.85, 0.05),
    _Model("cp1251", _RUSSIAN, 0.02 / 1000, 0.85, 0.05),
)
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")
_LETTER = -math.log(40)  # an ASCII character: in some encodings it is half of a foreign one
_CAPITAL_INSIDE = math.log(0.05)  # Unlike Astérix, éP is no beginning of a word: it is a full-width 1 in Shift-JIS
_IMPOSSIBLE = -25.0  # for each byte of a name that is not in an encoding, or is with signs that no name has
_MOST_BYTES = 20_000  # enough to be sure; an archive may have 100,000 names


def likely_encoding(names: Iterable[bytes]) -> str:
    """The encoding that all these names are most likely in; `cp437`, that of ZIP, when they are plain ASCII."""
    telling = dict.fromkeys(name for name in names if not name.isascii())
    sample: list[bytes] = []
    size = 0
    for name in telling:
        size += len(name)
        if sample and size > _MOST_BYTES:
            break
        sample.append(name)
    scores = {model.encoding: sum(_score(model, name) for name in sample) for model in _MODELS}
    return max(scores, key=lambda encoding: scores[encoding]) if sample else "cp437"


def decoded(names: Iterable[bytes]) -> list[str]:
    """Names as text, all in the encoding that is likeliest for them together; one that is not in it by itself."""
    names = list(names)
    encoding = likely_encoding(names)
    return [_decoded(name, encoding) for name in names]


def _decoded(name: bytes, encoding: str) -> str:
    for choice in (encoding, likely_encoding([name])):
        try:
            return name.decode(choice)
        except UnicodeDecodeError:
            continue
    return name.decode("cp437")  # in which every byte means something


def _score(model: _Model, name: bytes) -> float:
    """Logarithm of how likely a model makes a name."""
    try:
        text = name.decode(model.encoding)
    except UnicodeDecodeError:
        text = "\ufffd"
    # One damaged name must not rule an encoding out that fits all others.
    return _text_score(model, text) if not _CONTROL.search(text) else _IMPOSSIBLE * len(name)


def _text_score(model: _Model, text: str) -> float:
    others = math.log(model.others)
    total = _LETTER * sum(character.isascii() for character in text)
    for match in _FOREIGN.finditer(text):
        at = match.start()
        before, after = text[max(0, at - 1) : at], text[at + 1 : at + 2]
        total += model.weights.get(match[0], others)
        total += math.log(model.run if after and not after.isascii() else 1 - model.run)
        letters = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
        total += math.log(model.among_letters if letters else 1 - model.among_letters)
        if match[0].islower() and "A" <= after <= "Z":
            total += _CAPITAL_INSIDE
    return total
