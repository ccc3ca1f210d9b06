"""Questions and topics in many scripts."""

import pytest

from allma_server.search.query_type import is_question

QUESTIONS = [
    "what is a vector", "How do I restart it", "is it cold", "the battery, why does it drain?",
    "(does it work?)", "when will it ship ? ",
    "电池能用多久？", "电池能用多久", "重启之后地图会不会丢", "他来了吗", "為什麼這麼慢",
    "茶是哪里的",
    "電池はいつ交換しますか", "なぜ遅いのか", "予約できますか。", "いくらですか？",
    "배터리를 언제 바꾸나요", "왜 느린가요?", "며칠부터 필요해", "바꿀 수 있습니까",
    "ต้องล้างบ่อยแค่ไหน", "ใช้น้ำร้อนได้ไหม", "ขึ้นระบบวันศุกร์ได้หรือไม่", "ทำไมช้า",
    "متى أغير البطارية؟", "هل يمكن الإلغاء", "كم يوما", "چرا کند است", "کیا یہ مفت ہے",
    "מתי נפתחת הספרייה", "האם אפשר לבטל",
    "क्या मैं रद्द कर सकता हूँ", "बैटरी कब बदलें", "ব্যাটারি কখন বদলাব", "ஏன் மெதுவாக உள்ளது",
    "Где пароль от роутера", "Можно ли отменить", "в какой порт вставлять кабель", "Де мій пароль",
    "Πού είναι ο κωδικός;", "ποτε αλλαζω μπαταρια", "σε τι θερμοκρασία", "Μπορώ να ακυρώσω;",
    "Ե՞րբ է բացվում գրադարանը", "መቼ ይከፈታል፧",
    "Warum ist es langsam", "welche Frist gilt", "où est le mot de passe", "¿Cuándo abre?",
    "pourquoi c'est lent", "dlaczego jest wolno", "Bu ücretsiz mi", "pil kaç saat dayanır",
    "bao nhiêu ngày nghỉ", "bagaimana cara membatalkan",
]  # fmt: skip

TOPICS = [
    "how to restart the server", "battery life", "the day when it rained", "var x = 1",
    "chi square",
    "garantie de la batterie", "Frist der Kündigung", "libro que leer", "en mi casa",
    "电池更换", "几何学", "電池の交換方法", "保証期間", "배터리 교체 방법", "วิธีล้างแผ่นกรอง",
    "تغيير البطارية", "שעות פתיחה", "बैटरी बदलने का तरीका", "замена батареи", "Εγγύηση μπαταρίας",
    "pil ömrü", "x = 1; y = 2;", "", "?!x",
]  # fmt: skip


@pytest.mark.parametrize("query", QUESTIONS)
def test_a_question_is_recognised_in_its_script(query: str):
    assert is_question(query)


@pytest.mark.parametrize("query", TOPICS)
def test_a_topic_is_not_taken_for_a_question(query: str):
    assert not is_question(query)
