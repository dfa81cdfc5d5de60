"""IFEval's instructions as lm-eval 0.4.13 checks them: test/golden/exams/ifeval.json.

usage: NLTK_DATA=FOLDER ifeval.py test/golden/exams/ifeval.json

FOLDER holds tokenizers/punkt_tab. {"checks": [[id, kwargs, answer, follows], …], "counts": [[text, sentences, words of capitals], …],
"rows": [[row, answer, what process_results finds], …]}.
Answers are made of our own sentences by chance; languages are of texts that langdetect is sure of."""

import json
import random
import sys

import langdetect
import nltk
from lm_eval.tasks.ifeval import instructions_registry, instructions_util, utils

SENTENCES = """The harbour was quiet when the last boat came in.|Nobody had counted the lamps, and nobody would.|Why did the clock stop?|I
 can't say!|Mr. Alder paid $3.50 for it.|She met Dr. Voss at 9 a.m. on Monday.|It grew by 4.5 per cent.|"We will go," he said.|He asked, "Are you
 sure?"|They left (as usual) early.|The U.S. market fell.|Wait... what is that?|See the list below:|First, boil the water. Then, add salt.|My
 answer is maybe.|A GREAT DAY FOR NASA AND THE BBC!|DON'T STOP; IT'S GOOD.|We bought tea, milk, etc. and went home.|Version 2.0 works, e.g. on
 phones.|J. Smith wrote it.|Room No. 5 is free.|Vitamin C. That is all.|The firm (Baker & Co.) closed.|*A short note* and **a bold one**.|Send it to
 [name] at [address].|P.S. Bring a coat.|P.P.S. And gloves.|Cannot you see?|The end."""
LINES = "* one point|- another point|* * *|***|******|1. first item|2. second item|Section 1|SECTION 2|<<A title>>|<< >>|{\"a\": [1, 2]}|```json|```|Any other questions?|hello hello Hello".split("|")
FOREIGN = {
    "de": "Das Wetter ist heute sehr schön und wir gehen mit den Kindern in den Park, weil sie dort gerne spielen.",
    "fr": "Le train est arrivé en retard ce matin et nous avons dû attendre dans la gare avec les enfants.",
    "es": "El libro que me diste ayer es muy interesante y también tiene unas fotos de la ciudad.",
    "it": "Questa mattina il mercato era pieno di gente e abbiamo comprato della frutta per la cena.",
    "pt": "Ontem não fomos à praia porque estava muito frio, mas amanhã vamos com os nossos amigos.",
    "fi": "Tänään on kaunis päivä ja minä menen kävelylle metsään, mutta hän ei halua tulla mukaan.",
    "pl": "Wczoraj było bardzo zimno, ale dzisiaj jest ciepło i możemy się przejść nad rzekę.",
    "ru": "Вчера было очень холодно, но сегодня тепло, и мы можем погулять у реки, потому что она рядом.",
    "uk": "Учора було дуже холодно, але сьогодні тепло, і ми можемо піти до річки, бо вона поруч.",
    "bg": "Вчера беше много студено, но днес е топло и ние можем да се разходим край реката.",
    "ar": "كان الجو باردا جدا أمس، لكن اليوم دافئ ويمكننا أن نمشي إلى النهر مع الأطفال.",
    "fa": "دیروز هوا خیلی سرد بود اما امروز گرم است و ما می توانیم با بچه ها به کنار رودخانه برویم.",
    "ur": "کل موسم بہت ٹھنڈا تھا لیکن آج گرمی ہے اور ہم بچوں کے ساتھ دریا پر جا سکتے ہیں۔",
    "hi": "कल बहुत ठंड थी लेकिन आज गर्मी है और हम बच्चों के साथ नदी पर जा सकते हैं।",
    "mr": "काल खूप थंडी होती पण आज उबदार आहे आणि आपण मुलांसोबत नदीवर जाऊ शकतो.",
    "ne": "हिजो धेरै जाडो थियो तर आज न्यानो छ र हामी बालबालिकासँग नदीमा जान सक्छौं।",
    "vi": "Hôm qua trời rất lạnh nhưng hôm nay ấm áp và chúng tôi có thể đi dạo bên bờ sông với các cháu.",
    "sw": "Jana kulikuwa na baridi sana lakini leo ni joto na tunaweza kwenda mtoni pamoja na watoto.",
    "ko": "어제는 매우 추웠지만 오늘은 따뜻해서 아이들과 함께 강가를 걸을 수 있습니다.",
    "ja": "昨日はとても寒かったですが、今日は暖かいので、子供たちと一緒に川辺を散歩できます。",
    "th": "เมื่อวานอากาศหนาวมาก แต่วันนี้อบอุ่น เราจึงไปเดินเล่นริมแม่น้ำกับเด็กๆ ได้",
    "bn": "গতকাল খুব ঠান্ডা ছিল কিন্তু আজ গরম এবং আমরা বাচ্চাদের সাথে নদীর ধারে হাঁটতে পারি।",
    "ta": "நேற்று மிகவும் குளிராக இருந்தது, ஆனால் இன்று வெப்பமாக உள்ளது.",
    "he": "אתמול היה קר מאוד אבל היום חם ואנחנו יכולים ללכת לנהר עם הילדים.",
    "en": "Yesterday it was very cold but today it is warm, and we can walk by the river with the children.",
}


def answers(r):
    kind = r.random()
    if kind < 0.5:
        parts = [r.choice(SENTENCES) if r.random() < 0.75 else "\n" + r.choice(LINES) + "\n" for _ in range(r.randint(1, 9))]
        text = r.choice([" ", " ", "\n", "\n\n"]).join(parts)
    elif kind < 0.6:
        text = r.choice(["", " ", "\n\n", "\"" + r.choice(SENTENCES) + "\"", "```json\n{\"k\": \"v\"}\n```", "```\n[1]\n```", "{", "12", "nul"])
    elif kind < 0.75:
        text = r.choice(["***", " *** ", "\n\n", "******", "\n******\n"]).join(r.choice(SENTENCES) for _ in range(r.randint(1, 4)))
        text = r.choice(["", "*** ", "******\n"]) + text + r.choice(["", " ***", "\n******"])
    elif kind < 0.85:
        text = "\n".join(r.choice(LINES) for _ in range(r.randint(1, 6)))
    else:
        text = " ".join(r.choice(SENTENCES).upper() if r.random() < 0.7 else r.choice(SENTENCES) for _ in range(3))
    return text


def kwargs_of(name, r):
    n, relation = r.randint(1, 4), r.choice(["less than", "at least"])
    return {
        "existence": {"keywords": r.sample(["boat", "lamp", "CLOCK", "salt|sugar", "Monday", "the end"], r.randint(1, 2))},
        "frequency": {"keyword": r.choice(["the", "hello ", "it", "NASA"]), "frequency": n, "relation": relation},
        "forbidden_words": {"forbidden_words": r.sample(["boat", "lamp", "tea", "water", "list"], 2)},
        "letter_frequency": {"letter": r.choice("aeQz"), "let_frequency": r.randint(1, 9), "let_relation": relation},
        "number_sentences": {"num_sentences": r.randint(1, 8), "relation": relation},
        "number_paragraphs": {"num_paragraphs": r.randint(1, 3)},
        "number_words": {"num_words": r.randint(5, 60), "relation": relation},
        "nth_paragraph_first_word": {"num_paragraphs": n, "nth_paragraph": r.randint(1, n), "first_word": r.choice(["the", "I", "why", "they"])},
        "number_placeholders": {"num_placeholders": n}, "postscript": {"postscript_marker": r.choice(["P.S.", "P.P.S", "The end"])},
        "number_bullet_lists": {"num_bullets": n}, "number_highlighted_sections": {"num_highlights": r.randint(1, 2)},
        "multiple_sections": {"section_spliter": r.choice(["Section", "SECTION", "item"]), "num_sections": r.randint(1, 2)},
        "repeat_prompt": {"prompt_to_repeat": r.choice([" The harbour was", "WHY DID", "mr. alder"])},
        "end_checker": {"end_phrase": r.choice(["The end.", " any other questions?", "gloves."])},
        "capital_word_frequency": {"capital_frequency": r.randint(1, 12), "capital_relation": relation},
    }.get(name, {})


def follows(kind, kwargs, answer):
    one = instructions_registry.INSTRUCTION_DICT[kind](kind)
    one.build_description(**kwargs)
    return bool(answer.strip() and one.check_following(answer))


def main():
    r = random.Random(7)
    langdetect.DetectorFactory.seed = 0
    checks, counts, texts = [], [], []
    for kind in instructions_registry.INSTRUCTION_DICT:
        name = kind.split(":")[1]
        for _ in range(0 if name in ("response_language", "english_capital", "english_lowercase") else 14):
            kwargs, answer = kwargs_of(name, r), answers(r)
            checks.append([kind, kwargs, answer, follows(kind, kwargs, answer)])
    for code, text in FOREIGN.items():
        for wanted in (code, r.choice(list(FOREIGN))):
            checks.append(["language:response_language", {"language": wanted}, text, follows("language:response_language", {"language": wanted}, text)])
        for kind, change in (("change_case:english_lowercase", str.lower), ("change_case:english_capital", str.lower)):
            checks.append([kind, {}, change(text), follows(kind, {}, change(text))])
    for s in SENTENCES:
        checks.append(["change_case:english_lowercase", {}, s, follows("change_case:english_lowercase", {}, s)] if s.lower() != s else None)
    for _ in range(160):
        texts.append(answers(r))
    for text in texts:
        capitals = sum(w.isupper() for w in nltk.word_tokenize(text))
        counts.append([text, instructions_util.count_sentences(text), capitals])
    rows = []
    for _ in range(60):
        kinds = r.sample([k for k in instructions_registry.INSTRUCTION_DICT if "english" not in k and "language" not in k], r.randint(1, 3))
        # null as the data set has them, on arguments of others
        row = {"key": 1, "prompt": "p", "instruction_id_list": kinds, "kwargs": [{**kwargs_of(k.split(":")[1], r), "language": None} for k in kinds]}
        answer = r.choice(["", "Sure:\n", "*Here*\n\n"]) + answers(r) + r.choice(["", "\nBye, then!"])
        rows.append([row, answer, utils.process_results(row, [answer])])
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write('{"checks": [\n' + ",\n".join(json.dumps(x, ensure_ascii=False) for x in checks if x))
        f.write('\n], "counts": [\n' + ",\n".join(json.dumps(x, ensure_ascii=False) for x in counts))
        f.write('\n], "rows": [\n' + ",\n".join(json.dumps(x, ensure_ascii=False) for x in rows) + "\n]}\n")


SENTENCES = SENTENCES.replace("\n", "").split("|")
if __name__ == "__main__":
    main()
