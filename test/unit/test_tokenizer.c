/* test_tokenizer: ids, words and sentences of refusal; what is expected of real texts was computed with Hugging Face's
 * tokenizers. */
#include "../test.h"

#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "fixture_gguf.h"
#include "token/decoder.h"
#include "token/pretokenize.h"
#include "token/gguf_known.h"
#include "token/tokenizer.h"
#include "token/tokenizer_put.h"
#include "token/alphabet.h"

#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define GPT2 "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define SEQUENCE(steps) "{\"type\":\"Sequence\",\"pretokenizers\":[" steps "]}"
#define STRING_SPLIT(behavior) \
	SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":\"" behavior "\"}," BYTES)
#define REGEX_SPLIT(regex, rest) SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"}," rest "}," BYTES)
#define LLAMA3 \
	"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| " \
	"?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*" \
	"|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

/* A tokenizer.json with all bytes as ids 0–255, then `extra` (texts and ids, with a comma before), merges and other
 * fields. */
static json_t *make_json(const char *extra, const char *merges, const char *model_fields, const char *fields)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	buf_adds(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
	for (int i = 0; i < 256; i++) {
		char byte = (char)i;
		buf_adds(&b, i ? ",\"" : "\"");
		if (byte == '"' || byte == '\\')
			buf_addc(&b, '\\');
		alphabet_write(&b, &byte, 1);
		buf_addf(&b, "\":%d", i);
	}
	buf_addf(&b, "%s},\"merges\":[%s]%s}%s}", extra, merges, model_fields, fields);
	json_t *j = jsonx_load(buf_str(&b), b.len, "test", &e);
	if (!j)
		BUG("%s", e.msg);
	buf_release(&b);
	return j;
}

static struct tokenizer *make(const char *extra, const char *merges, const char *model_fields, const char *fields,
                              const char *config)
{
	struct err e = ERR_INIT;
	json_t *j = make_json(extra, merges, model_fields, fields),
	       *c = config ? jsonx_load(config, strlen(config), "config", &e) : NULL;
	struct tokenizer *k = tokenizer_from_json(j, c, "tiny", &e);
	if (!k)
		BUG("%s", e.msg);
	json_decref(j);
	json_decref(c);
	return k;
}

static void check_ids(struct test *t, const struct tokenizer *k, const char *text, int flags, const char *want)
{
	struct tokens ids = { 0 };
	struct buf got = BUF_INIT;
	struct err e = ERR_INIT;
	int rc = tokenizer_encode(k, text, strlen(text), flags, &ids, &e);
	for (size_t i = 0; i < ids.n; i++)
		buf_addf(&got, "%s%d", i ? " " : "", ids.id[i]);
	CHECK_MSG(t, rc == 0 && strcmp(buf_str(&got), want) == 0, "\"%s\": %s %s, wanted %s", text, buf_str(&got),
	          e.msg, want);
	buf_release(&got);
	tokens_release(&ids);
}

static void check_back(struct test *t, const struct tokenizer *k, const char *text)
{
	struct tokens ids = { 0 };
	struct buf back = BUF_INIT;
	struct err e = ERR_INIT;
	CHECK(t, tokenizer_encode(k, text, strlen(text), TOKENIZE_SPECIAL, &ids, &e) == 0);
	tokenizer_decode(k, ids.id, ids.n, false, &back);
	CHECK_MSG(t, strcmp(buf_str(&back), text) == 0, "\"%s\" came back as \"%s\"", text, buf_str(&back));
	buf_release(&back);
	tokens_release(&ids);
}

/* --- the tiny models --- */

static struct tokenizer *load_golden(struct test *t, const char *name)
{
	struct err e = ERR_INIT;
	struct gguf g;
	struct tokenizer *k = NULL;
	char *path = io_join(test_golden(), name);
	if (io_is_dir(path)) {
		k = tokenizer_from_dir(path, &e);
	} else if (gguf_open(&g, path, &e) == 0) {
		k = tokenizer_from_gguf(&g, &e);
		gguf_close(&g);
	}
	CHECK_MSG(t, k, "%s", e.msg);
	mem_free(path);
	return k;
}

static void test_goldens(struct test *t)
{
	static const struct {
		const char *name, *cat;
	} models[] = { { "llama", "298" }, { "llama.gguf", "298" }, { "llama-untied", "298" }, { "gpt2", "299" } };
	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		test_case(t, "golden %s", models[i].name);
		struct tokenizer *k = load_golden(t, models[i].name);
		if (!k)
			continue;
		char *want = mem_printf("86 260 281 %s 9 85 223 19 20 21 223 259 74 75 80 73 85", models[i].cat);
		check_ids(t, k, "the cat's 123  things", 0, want);
		check_ids(t, k, "<|begin|>user\nHello  w\xc3\xb6rld <|end|>", TOKENIZE_SPECIAL,
		          "1 87 85 267 201 42 71 78 78 81 223 276 130 117 84 78 70 223 2");
		check_ids(t, k, "<|begin|>user\nHello  w\xc3\xb6rld <|end|>", 0,
		          "30 94 68 71 73 75 80 94 32 87 85 267 201 42 71 78 78 81 223 276 130 117 84 "
		          "78 70 223 30 94 71 272 94 32");
		check_ids(t, k, "  12\t\n\nthe theme", 0, "223 223 19 20 200 201 201 86 260 263 79 71");
		check_back(t, k, "any text \xf0\x9f\x91\x8d\n\n\t<|end|> 'll \xe6\xbc\xa2");
		CHECK(t, tokenizer_size(k) == 301 && tokenizer_find(k, "<|end|>", 7) == 2 &&
		                 tokenizer_find(k, "nothing", 7) == -1);
		CHECK(t, tokenizer_is_special(k, 2) && !tokenizer_is_special(k, 3) && !tokenizer_is_special(k, -1) &&
		                 !tokenizer_is_special(k, 301));
		CHECK(t, tokenizer_front(k) < 0 && tokenizer_eos(k) == (i == 3 ? 0 : 2) &&
		                 tokenizer_bos(k) == (i == 3 ? 0 : 1));
		CHECK(t, !tokenizer_template(k) == (i == 3));
		mem_free(want);
		tokenizer_free(k);
	}
}

/* --- every kind, as its reference does it --- */

static void check_text(struct test *t, const struct tokenizer *k, const json_t *c)
{
	struct tokens ids = { 0 }, begins = { 0 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	const json_t *in = json_object_get(c, "text"), *out = json_object_get(c, "decoded"),
		     *want = json_object_get(c, "ids"), *from = json_object_get(c, "begins");
	CHECK_MSG(t,
	          tokenizer_encode_offsets(k, json_string_value(in), json_string_length(in), TOKENIZE_SPECIAL, &ids,
	                                   &begins, &e) == 0,
	          "%s", e.msg);
	bool same = ids.n == json_array_size(want) && (!from || begins.n == json_array_size(from));
	for (size_t i = 0; i < ids.n && same; i++)
		same = ids.id[i] == json_integer_value(json_array_get(want, i)) &&
		       (!from || begins.id[i] == json_integer_value(json_array_get(from, i)));
	CHECK_MSG(t, same, "\"%s\": %zu ids, %zu were wanted, or others, or from elsewhere", json_string_value(in),
	          ids.n, json_array_size(want));
	tokenizer_decode(k, ids.id, ids.n, false, &text);
	CHECK_MSG(t, text.len == json_string_length(out) && !strcmp(buf_str(&text), json_string_value(out)),
	          "\"%s\" is \"%s\" again, \"%s\" was wanted", json_string_value(in), buf_str(&text),
	          json_string_value(out));
	buf_release(&text);
	tokens_release(&ids);
	tokens_release(&begins);
}

/* Written as GGUF's metadata and read again it gives the same ids, or it is refused by a sentence. Of a charsmap's keys
 * the longest counts there, as in SentencePiece, which here a marked letter shows: then no text is compared. And no
 * word of WordPiece's is too long there. */
static bool check_as_gguf(struct test *t, const struct tokenizer *k, const json_t *texts)
{
	struct gguf_meta meta = { 0 };
	struct buf bytes = BUF_INIT;
	struct tokens none = { 0 };
	struct err e = ERR_INIT;
	struct gguf g;
	const json_t *c;
	size_t i;

	gguf_put_str(&meta, "general.architecture", "any");
	bool fine = tokenizer_put_gguf(k, &meta, tokenizer_size(k), &none, "kind", &e) == 0 &&
	            gguf_preview(&g, &bytes, &meta, NULL, 0, "kind", &e) == 0;
	if (fine) {
		struct tokenizer *again = NULL;
		fine = tokenizer_check_gguf(k, &g, "kind", &e) == 0 && (again = tokenizer_from_gguf(&g, &e));
		bool map = gguf_find(&g, "tokenizer.ggml.precompiled_charsmap");
		json_array_foreach(fine && !map ? texts : NULL, i, c) {
			struct tokens a = { 0 }, b = { 0 };
			const char *text = json_string_value(json_object_get(c, "text"));
			if (strlen(text) > 100)
				continue;
			CHECK_MSG(t, tokenizer_encode(k, text, strlen(text), 0, &a, &e) == 0 &&
			             tokenizer_encode(again, text, strlen(text), 0, &b, &e) == 0, "%s", e.msg);
			CHECK_MSG(t, a.n == b.n && !memcmp(a.id, b.id, a.n * sizeof(*a.id)),
			          "\"%s\": %zu ids, from a GGUF %zu, or others", text, a.n, b.n);
			tokens_release(&a);
			tokens_release(&b);
		}
		tokenizer_free(again);
		gguf_close(&g);
	}
	CHECK_MSG(t, fine || !strncmp(e.msg, "kind: ", 6), "%s", e.msg);
	buf_release(&bytes);
	buf_release(&meta.bytes);
	return fine;
}

static void check_kind(struct test *t, const char *path)
{
	struct err e = ERR_INIT;
	json_t *file = jsonx_load_file(path, &e), *c;
	struct tokenizer *k = tokenizer_from_json(json_object_get(file, "tokenizer"), NULL, path, &e), *again = NULL;
	char *dir = mem_printf("%s/kind", test_tmp());
	size_t i;
	CHECK_MSG(t, k, "%s", e.msg);
	if (k) {
		CHECK_MSG(t, tokenizer_save(k, dir, &e) == 0 && (again = tokenizer_from_dir(dir, &e)), "%s", e.msg);
		json_array_foreach(json_object_get(file, "texts"), i, c)
			check_text(t, k, c);
		bool written = check_as_gguf(t, k, json_object_get(file, "texts"));
		CHECK_MSG(t, written || (!strstr(path, "wordpiece") && !text_ends(path, "unigram.json")),
		          "not written");
	}
	json_array_foreach(again ? json_object_get(file, "texts") : NULL, i, c)
		check_text(t, again, c); /* what was saved is the same */
	tokenizer_free(k);
	tokenizer_free(again);
	json_decref(file);
	mem_free(dir);
}

/* Writes a case's files beside the golden Llama's tokenizer.json. */
static char *named_folder(struct test *t, const json_t *files, size_t number)
{
	char *from = io_join(test_golden(), "llama/tokenizer.json");
	char *folder = mem_printf("%s/named%zu", test_tmp(), number), *to = io_join(folder, "tokenizer.json");
	struct err e = ERR_INIT;
	const char *name;
	json_t *file, *json = jsonx_load_file(from, &e);
	CHECK_MSG(t, io_mkdirs(folder, &e) == 0 && json && jsonx_write_file(to, json, &e) == 0, "%s", e.msg);
	json_object_foreach((json_t *)(uintptr_t)files, name, file) {
		char *path = io_join(folder, name);
		CHECK_MSG(t, jsonx_write_file(path, file, &e) == 0, "%s", e.msg);
		mem_free(path);
	}
	json_decref(json);
	mem_free(from);
	mem_free(to);
	return folder;
}

static void check_id(struct test *t, const json_t *want, int32_t got)
{
	CHECK_MSG(t, got == (json_is_null(want) ? -1 : json_integer_value(want)), "id %d, wanted %lld", got,
	          (long long)json_integer_value(want));
}

static void check_named(struct test *t, const json_t *c, size_t number)
{
	const json_t *named = json_object_get(c, "named"), *item, *id;
	char *folder = named_folder(t, json_object_get(c, "files"), number);
	struct err e = ERR_INIT;
	struct tokenizer *k = tokenizer_from_dir(folder, &e);
	size_t i, j;

	CHECK_MSG(t, k, "%s", e.msg);
	if (k) {
		CHECK(t, json_integer_value(json_object_get(c, "size")) == (json_int_t)tokenizer_size(k));
		check_id(t, json_object_get(named, "bos_token"), tokenizer_bos(k));
		check_id(t, json_object_get(named, "eos_token"), tokenizer_eos(k));
		check_id(t, json_object_get(named, "pad_token"), tokenizer_pad(k));
	}
	json_array_foreach(json_object_get(c, "texts"), i, item) {
		struct buf want = BUF_INIT;
		json_array_foreach(json_object_get(item, "ids"), j, id)
			buf_addf(&want, "%s%lld", j ? " " : "", (long long)json_integer_value(id));
		check_ids(t, k, json_string_value(json_object_get(item, "text")), TOKENIZE_SPECIAL, buf_str(&want));
		buf_release(&want);
	}
	tokenizer_free(k);
	mem_free(folder);
}

/* Tokens that the files beside tokenizer.json name have the ids that transformers gives them. */
static void test_named(struct test *t)
{
	const struct log_sink silent = { 0 }, *before = log_lend(&silent); /* ids that the list has otherwise */
	char *path = io_join(test_golden(), "values/named_tokens.json");
	struct err e = ERR_INIT;
	json_t *file = jsonx_load_file(path, &e);
	const json_t *item;
	size_t i;

	CHECK_MSG(t, file, "%s", e.msg);
	json_array_foreach(json_object_get(file, "cases"), i, item) {
		test_case(t, "named tokens %zu", i);
		check_named(t, item, i);
	}
	log_lend(before);
	json_decref(file);
	mem_free(path);
}

static void test_kinds(struct test *t)
{
	char *folder = io_join(test_golden(), "values"), **names;
	struct err e = ERR_INIT;
	size_t n = 0;
	CHECK_MSG(t, io_list(folder, &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		char *path = io_join(folder, names[i]);
		if (!strncmp(names[i], "tokenizer_", 10)) {
			test_case(t, "%s", names[i]);
			check_kind(t, path);
		}
		mem_free(path);
	}
	io_list_free(names, n);
	mem_free(folder);
}

/* --- words --- */

static void check_words(struct test *t, const char *json, const char *text, const char *want)
{
	struct err e = ERR_INIT;
	json_t *j = jsonx_load(json, strlen(json), "steps", &e);
	struct pretokenizer *p = pretokenizer_parse(j, &e);
	struct words *w = words_new();
	struct slice in = { .text = text, .n = strlen(text) }, word;
	struct buf got = BUF_INIT;
	uint32_t before = 0;
	CHECK_MSG(t, p && pretokenizer_run(p, &in, w, &e) == 0, "%s: %s", json, e.msg);
	while (p && words_next(w, &word)) {
		if (got.len)
			buf_addc(&got, '|');
		buf_add(&got, word.text, word.n);
		CHECK(t, slice_origin(&word, 0) >= before && slice_origin(&word, 0) < in.n);
		before = slice_origin(&word, 0);
	}
	CHECK_MSG(t, strcmp(buf_str(&got), want) == 0, "%s: %s, wanted %s", json, buf_str(&got), want);
	buf_release(&got);
	words_free(w);
	pretokenizer_free(p);
	json_decref(j);
}

static void test_words(struct test *t)
{
	static const struct { const char *json, *text, *want;
	} cases[] = {
		{ GPT2, "I'll  go, 1234 times\n\n x ", "I|'ll| | go|,| 1234| times|\n\n| x| " },
		/* U+180E is no space; U+31350 is a letter of Unicode 15 */
		{ GPT2,
		  "x\xe1\xa0\x8ey\xe3\x80\x80z \xf0\xb1\x8d\x90"
		  "a\xcc\x80",
		  "x|\xe1\xa0\x8e|y|\xe3\x80\x80|z| \xf0\xb1\x8d\x90"
		  "a|\xcc\x80" },
		{ "{\"type\":\"ByteLevel\"}", "a b", " a| b" },
		{ SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}," GPT2), "a12  3 b", "a|1|2|  |3| b" },
		{ SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":false}," GPT2), "a12  3 b", "a|12|  |3| b" },
		{ REGEX_SPLIT(LLAMA3, "\"behavior\":\"Isolated\""), "IT'S 12345!\r\n\r\n  it",
		  "IT|'S| |123|45|!\r\n\r\n| | it" },
		{ STRING_SPLIT("Removed"), " a  b ", "a|b" },
		{ STRING_SPLIT("MergedWithPrevious"), " a  b ", " |a | |b " },
		{ STRING_SPLIT("MergedWithNext"), " a  b ", " a| | b| " },
		{ STRING_SPLIT("Contiguous"), " a  b ", " |a|  |b| " },
		{ REGEX_SPLIT("\\\\w+", "\"behavior\":\"Removed\",\"invert\":true"), "a\xc2\xb2_b, c!",
		  "a\xc2\xb2_b|c" },
		{ SEQUENCE("{\"type\":\"Punctuation\"}," BYTES), "a+b, c\xe2\x80\xa6", "a|+|b|,| c|\xe2\x80\xa6" },
		{ REGEX_SPLIT("x*", "\"behavior\":\"Isolated\""), "axxb", "a|xx|b" },
		{ REGEX_SPLIT("^.", "\"behavior\":\"Removed\""), "ab\ncd", "b\n|d" },
		/* Falcon's: what follows ByteLevel sees its alphabet, where the byte B2 is a digit */
		{ SEQUENCE(
			  "{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}," GPT2
			  ",{\"type\":\"Digits\",\"individual_digits\":false},"
			  "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[0-9][0-9][0-9]\"},\"behavior\":\"Isolated\"}"),
		  "\xc3\xa9"
		  "12345\xc3\x9f 6\xc2\xb2!?a",
		  "\xc3\xa9|123|45|\xc3\x9f| |6|\xc2|\xb2|!?|a" },
	};
	test_case(t, "words");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_words(t, cases[i].json, cases[i].text, cases[i].want);
	test_case(t, "no words");
	check_words(t, GPT2, "", "");
}

static void test_patterns(struct test *t)
{
	static const char *const refused[] = {
		"[a[b]]", "[a-z&&b]",  "a{1,3}+",     "a{,3}", "\\b", "\\h",  "(?<n>a)",       "(?R)",
		"(?m:.)", "(*ACCEPT)", "[[:alpha:]]", "[\\W]", "\\",  "\\p{", "\\pL",          "\\p{L",
		"[a",     "[]a]",      "\\u12",       "a)",    "(a",  "*",    "\\p{Nonsense}", "\\K"
	};
	test_case(t, "patterns refused");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err e = ERR_INIT;
		struct pattern *p = pattern_new(refused[i], strlen(refused[i]), false, &e);
		CHECK_MSG(t, !p && strstr(e.msg, refused[i]), "%s: %s", refused[i], p ? "accepted" : e.msg);
		pattern_free(p);
	}
	test_case(t, "a match of too many steps is an error");
	struct err e = ERR_INIT;
	struct pattern *p = pattern_new("(a|aa)+$", 8, false, &e);
	struct pattern_scratch *s = pattern_scratch_new();
	char text[201];
	size_t begin, end;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 2] = '!';
	text[sizeof(text) - 1] = 0;
	CHECK_MSG(t,
	          p && pattern_next(p, s, text, sizeof(text) - 1, 0, &begin, &end, &e) == -1 && strstr(e.msg, "limit"),
	          "%s", e.msg);
	pattern_scratch_free(s);
	pattern_free(p);
}

/* --- normalizing --- */

static void check_normal(struct test *t, const char *type, const char *text, const char *want, const char *origins)
{
	struct err e = ERR_INIT;
	struct normalizer z;
	struct altered a = { 0 };
	struct slice in = { .text = text, .n = strlen(text) }, out;
	struct buf got = BUF_INIT;
	json_t *j = json_pack("{s:s}", "type", type);
	CHECK(t, normalizer_parse(&z, j, &e) == 0 && normalizer_run(&z, &in, &out, &a, &e) == 0);
	CHECK_MSG(t, out.n == strlen(want) && memcmp(out.text, want, out.n) == 0, "%s of \"%s\" is \"%.*s\"", type,
	          text, (int)out.n, out.text);
	for (size_t i = 0; i < out.n; i++)
		buf_addf(&got, "%s%u", i ? " " : "", slice_origin(&out, i));
	CHECK_MSG(t, strcmp(buf_str(&got), origins) == 0, "%s of \"%s\": from %s, wanted %s", type, text, buf_str(&got),
	          origins);
	buf_release(&got);
	altered_release(&a);
	json_decref(j);
}

/* A map whose key is the first byte of a character: whoever takes it stands inside of the character then. */
static void test_charsmap(struct test *t)
{
	static const char text[] = "\xe6\xbc\xa2 \xe6\xbc\xa2";
	test_case(t, "Precompiled: no key parts a character");
	for (int longest = 0; longest < 2; longest++) {
		struct err e = ERR_INIT;
		struct normalizer z;
		struct altered a = { 0 };
		struct slice in = { .text = text, .n = strlen(text) }, out = { 0 };
		json_t *j = json_pack("{s:s,s:s,s:b}", "type", "Precompiled", "precompiled_charsmap",
		                      "DAAAAACcAwDmDQAAAAAAgGIA", "longest", longest);
		CHECK(t, normalizer_parse(&z, j, &e) == 0 && normalizer_run(&z, &in, &out, &a, &e) == 0);
		CHECK(t, out.n == in.n && memcmp(out.text, text, in.n) == 0);
		altered_release(&a);
		normalizer_release(&z);
		json_decref(j);
	}
}

/* An expression that takes nothing goes on behind the character, not inside of it. */
static void test_replace(struct test *t)
{
	static const char text[] = "a\xe6\xbc\xa2\xe5\xad\x97", want[] = "a\xe6\xbc\xa2-";
	struct err e = ERR_INIT;
	struct normalizer z;
	struct altered a = { 0 };
	struct slice in = { .text = text, .n = strlen(text) }, out = { 0 };
	struct texts texts = { 0 };
	struct buf back = BUF_INIT;
	json_t *j = json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "Regex",
	                      "(?=\xe6\xbc\xa2)|[^a\xe6\xbc\xa2]+", "content", "-");
	test_case(t, "Replace, of a normalizer and a decoder: a match of nothing");
	CHECK(t, normalizer_parse(&z, j, &e) == 0 && normalizer_run(&z, &in, &out, &a, &e) == 0);
	CHECK_MSG(t, out.n == strlen(want) && !memcmp(out.text, want, out.n), "%.*s", (int)out.n, out.text);
	struct decoder *d = decoder_parse(j, false, &e);
	texts_add(&texts, text, strlen(text), false);
	if (d)
		decoder_run(d, &texts, true, true, &back);
	CHECK_MSG(t, strcmp(buf_str(&back), want) == 0, "%s", buf_str(&back));
	decoder_free(d);
	texts_release(&texts);
	buf_release(&back);
	altered_release(&a);
	normalizer_release(&z);
	json_decref(j);
}

static void test_normal(struct test *t)
{
	test_case(t, "StripAccents takes marks of every kind; Lowercase knows no final sigma");
	check_normal(t, "StripAccents", "a\u0301\u0903\u0488b", "ab", "0 8");
	check_normal(t, "Lowercase", "\u0130\u1E9E\u03A3", "i\u0307\u00DF\u03C3", "0 0 0 2 2 5 5");
	test_case(t, "normal forms");
	check_normal(t, "NFC", "plain", "plain", "0 1 2 3 4");
	check_normal(t, "NFC", "xe\xcc\x81y", "x\xc3\xa9y", "0 1 1 4");
	check_normal(t, "NFD", "x\xc3\xa9y", "xe\xcc\x81y", "0 1 1 1 3");
	check_normal(t, "NFKC", "\xef\xac\x81!", "fi!", "0 0 3");
	check_normal(t, "NFC", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab.", "\xed\x95\x9c.", "0 0 0 9");
	struct tokenizer *k = make(
		"", "", "",
		",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]},\"pre_tokenizer\":" GPT2,
		NULL);
	check_ids(t, k, "e\xcc\x81", 0, "195 169");
	tokenizer_free(k);
}

/* --- merges --- */

static void test_merges(struct test *t)
{
	test_case(t, "merges by rank, then from the left");
	struct tokenizer *k = make(",\"ab\":256,\"bc\":257,\"abc\":258,\"aa\":259",
	                           "\"b c\",[\"a\",\"b\"],\"a bc\",\"a a\"", "", ",\"pre_tokenizer\":" GPT2, NULL);
	check_ids(t, k, "abc", 0, "258");
	check_ids(t, k, "abab", 0, "256 256");
	check_ids(t, k, "aaaaa", 0, "259 259 97");
	check_ids(t, k, "aabcb", 0, "97 258 98");
	CHECK(t,
	      tokenizer_find(k, "abc", 3) == 258 && tokenizer_find(k, " ", 1) == 32 && tokenizer_find(k, "", 0) == -1);
	test_case(t, "a word of a megabyte");
	size_t n = 1 << 20;
	char *text = mem_alloc(n + 1);
	memset(text, 'a', n);
	struct tokens ids = { 0 }, offsets = { 0 };
	struct err e = ERR_INIT;
	CHECK(t,
	      tokenizer_encode_offsets(k, text, n, 0, &ids, &offsets, &e) == 0 && ids.n == n / 2 && offsets.n == ids.n);
	CHECK(t, ids.n && ids.id[ids.n - 1] == 259 && offsets.id[ids.n - 1] == (int32_t)n - 2);
	tokens_release(&ids);
	tokens_release(&offsets);
	mem_free(text);
	tokenizer_free(k);

	test_case(t, "ignore_merges");
	k = make(",\"xyz\":256,\"Ġq\":257", "", ",\"ignore_merges\":true", ",\"pre_tokenizer\":" GPT2, NULL);
	check_ids(t, k, "xyz q xyzz", 0, "256 257 32 120 121 122 122");
	tokenizer_free(k);
}

/* A byte that the vocabulary lacks is left out, or becomes the unknown token. */
static void test_missing_bytes(struct test *t)
{
	static const char *const models[] = { "", ",\"unk_token\":\"?\"", ",\"unk_token\":\"?\",\"fuse_unk\":true" },
				 *const want[] = { "0 1", "0 2 2 1", "0 2 1" };
	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		test_case(t, "missing bytes%s", models[i]);
		struct err e = ERR_INIT;
		char *text = mem_printf("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"?\":2},\"merges\":[]"
		                        "%s},\"pre_tokenizer\":" BYTES "}",
		                        models[i]);
		json_t *j = jsonx_load(text, strlen(text), "test", &e);
		struct tokenizer *k = tokenizer_from_json(j, NULL, "tiny", &e);
		CHECK_MSG(t, k, "%s", e.msg);
		if (k)
			check_ids(t, k, "axxb", 0, want[i]);
		tokenizer_free(k);
		json_decref(j);
		mem_free(text);
	}
}

/* --- added tokens, beginning of sequence --- */

static void test_added(struct test *t)
{
	static const char fields[] =
		",\"pre_tokenizer\":" GPT2 ",\"added_tokens\":["
		"{\"id\":256,\"content\":\"<s>\",\"special\":true},{\"id\":257,\"content\":\"<l>\",\"lstrip\":true,"
	        "\"normalized\":false},"
		"{\"id\":258,\"content\":\"<r>\",\"rstrip\":true,\"normalized\":false},{\"id\":259,\"content\":\"it\","
	        "\"single_word\":true},"
		"{\"id\":260,\"content\":\"<s>>\",\"normalized\":false},{\"id\":261,\"content\":\"\\u03ce\","
	        "\"normalized\":true},{\"id\":97,\"content\":\"a\",\"normalized\":true}],"
		"\"normalizer\":{\"type\":\"NFC\"}";
	test_case(t, "added tokens");
	struct tokenizer *k = make("", "", "", fields, NULL);
	check_ids(t, k, "<s>x<s", TOKENIZE_SPECIAL, "256 120 60 115");
	check_ids(t, k, "<s>", 0, "60 115 62");
	check_ids(t, k, "<s>>", 0, "260");
	check_ids(t, k, "x  <l> y", 0, "120 257 32 121");
	check_ids(t, k, "x <r>  y", 0, "120 32 258 121");
	check_ids(t, k, "it bit, it!", 0, "259 32 98 105 116 44 32 259 33");
	check_ids(t, k, "\xcf\x89\xcc\x81", 0, "261");
	check_back(t, k, "<s>it \xcf\x8e");
	CHECK(t, tokenizer_find(k, "<s>>", 4) == 260 && tokenizer_size(k) == 262 && tokenizer_is_special(k, 256) &&
	                 !tokenizer_is_special(k, 260));
	struct tokens ids = { 0 }, offsets = { 0 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	CHECK(t, tokenizer_encode_offsets(k, "b <l>\xcf\x89\xcc\x81 c<s>", 14, TOKENIZE_SPECIAL, &ids, &offsets, &e) ==
	                         0 &&
	                 ids.n == 6);
	static const int32_t want[] = { 0, 1, 5, 9, 10, 11 };
	CHECK(t, offsets.n == 6 && memcmp(offsets.id, want, sizeof(want)) == 0);
	tokenizer_decode(k, ids.id, ids.n, true, &text);
	CHECK_MSG(t, strcmp(buf_str(&text), "b<l>\xcf\x8e c") == 0, "%s", buf_str(&text));
	buf_release(&text);
	tokens_release(&ids);
	tokens_release(&offsets);
	test_case(t, "text that is not UTF-8");
	CHECK(t, tokenizer_encode(k, "ab\xff", 3, 0, &ids, &e) == -1 && strstr(e.msg, "byte 2"));
	tokens_release(&ids);
	tokenizer_free(k);
}

static void test_bos(struct test *t)
{
	static const char plain[] =
		",\"pre_tokenizer\":" GPT2 ",\"added_tokens\":[{\"id\":256,\"content\":\"<s>\",\"special\":true}]";
	static const char template[] =
		",\"pre_tokenizer\":" GPT2 ",\"added_tokens\":[{\"id\":256,\"content\":\"<s>\",\"special\":true}],"
		"\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":"
	        "\"TemplateProcessing\",\"single\":["
		"{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
		"\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[256],\"tokens\":[\"<s>\"]}}}]}";
	static const struct { const char *fields, *config; bool want;
	} cases[] = {
		{ plain, "{\"bos_token\":\"<s>\"}", false },
		{ plain, "{\"bos_token\":\"<s>\",\"add_bos_token\":true}", false },
		{ template, "{\"bos_token\":{\"content\":\"<s>\"}}", true },
		{ template, "{}", true },
		{ template, "{\"add_bos_token\":false}", true },
		{ template, "{\"bos_token\":\"a\"}", true },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		test_case(t, "BOS %zu", i);
		struct tokenizer *k = make("", "", "", cases[i].fields, cases[i].config);
		if (!k)
			continue;
		CHECK(t, (tokenizer_front(k) == 256) == cases[i].want);
		check_ids(t, k, "x", TOKENIZE_SPECIAL, "120");
		tokenizer_free(k);
	}
	test_case(t, "templates and special tokens of the config");
	struct tokenizer *k =
		make("", "", "", plain,
	             "{\"eos_token\":\"z\",\"pad_token\":null,\"extra_special_tokens\":{\"q_token\":\"q\"},"
	             "\"added_tokens_decoder\":{\"257\":{\"content\":\"<new>\",\"special\":true}},"
	             "\"chat_template\":[{\"name\":\"tool\",\"template\":\"T\"},{\"name\":\"default\",\"template\":"
	             "\"D\"}]}");
	CHECK(t, k && strcmp(tokenizer_template(k), "D") == 0 && tokenizer_eos(k) == 'z' && tokenizer_pad(k) == -1 &&
	                 tokenizer_is_special(k, 'q'));
	CHECK(t, k && tokenizer_size(k) == 258 && tokenizer_find(k, "<new>", 5) == 257);
	tokenizer_free(k);
	test_case(t, "an object of templates; tokens of this model alone in one of theirs");
	k = make("", "", "", plain,
	         "{\"model_specific_special_tokens\":{\"q_token\":\"<q>\"},"
	         "\"additional_special_tokens\":[\"<r>\"],"
	         "\"chat_template\":{\"tool_use\":\"T\",\"default\":\"D\"}}");
	CHECK(t, k && strcmp(tokenizer_template(k), "D") == 0 && strcmp(tokenizer_tool_template(k), "T") == 0);
	CHECK(t, k && tokenizer_find(k, "<q>", 3) == 257 && tokenizer_find(k, "<r>", 3) == 258);
	tokenizer_free(k);
	test_case(t, "a key of its own outside of it is in their place");
	k = make("", "", "", plain,
	         "{\"model_specific_special_tokens\":{\"q_token\":\"<q>\"},\"r_token\":\"<r>\"}");
	CHECK(t, k && tokenizer_find(k, "<q>", 3) == -1 && tokenizer_find(k, "<r>", 3) == 257);
	tokenizer_free(k);
}

/* --- refusals --- */

static void check_refused(struct test *t, const char *text, const char *config, const char *words)
{
	struct err e = ERR_INIT;
	json_t *j = jsonx_load(text, strlen(text), "test", &e),
	       *c = config ? jsonx_load(config, strlen(config), "config", &e) : NULL;
	struct tokenizer *k = tokenizer_from_json(j, c, "tiny.json", &e);
	CHECK_MSG(t, j && !k && strstr(e.msg, words) && strstr(e.msg, "tiny.json"),
	          "%s: wanted a sentence with '%s', got '%s'", text, words, e.msg);
	tokenizer_free(k);
	json_decref(j);
	json_decref(c);
}

#define MODEL(fields) \
	"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}" fields "},\"pre_tokenizer\":" GPT2
static void test_refused(struct test *t)
{
	static const struct { const char *json, *config, *words;
	} cases[] = {
		{ "[]", NULL, "model" },
		{ "{}", NULL, "model" },
		{ "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", NULL, "empty" },
		{ "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1]]}}", NULL, "unk_id" },
		{ "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", NULL, "piece 0" },
		{ "{\"model\":{\"vocab\":[]}}", NULL, "empty" },
		{ "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", NULL, "empty" },
		{ "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", NULL, "unk_token" },
		{ "{\"model\":{\"type\":\"Other\",\"vocab\":{\"a\":0}}}", NULL, "type Other" },
		{ MODEL(",\"merges\":[],\"byte_fallback\":true") "}", NULL, "byte_fallback" },
		{ MODEL(",\"merges\":[],\"dropout\":0.1") "}", NULL, "dropout" },
		{ MODEL(",\"merges\":[],\"end_of_word_suffix\":7") "}", NULL, "end_of_word_suffix" },
		{ MODEL("") "}", NULL, "merges" },
		{ MODEL(",\"merges\":[\"ab\"]") "}", NULL, "merge 0" },
		{ MODEL(",\"merges\":[\"a b\",\"b a\"]") "}", NULL, "merge 1" },
		{ MODEL(",\"merges\":[\"a b c\"]") "}", NULL, "merge 0" },
		{ MODEL(",\"merges\":[[\"a\"]]") "}", NULL, "merge 0" },
		{ MODEL(",\"merges\":[1]") "}", NULL, "merge 0" },
		{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", NULL, "empty" },
		{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", NULL, "two tokens" },
		{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", NULL, "-1" },
		{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":9000000000},\"merges\":[]}}", NULL, "9000000000" },
		{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16000000},\"merges\":[]}}", NULL, "holes" },
		{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", NULL, "integer" },
		{ "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"pre_tokenizer\":{\"type\":"
		  "\"Other\"}}",
		  NULL, "UnicodeScripts" },
		{ MODEL(",\"merges\":[]") ",\"normalizer\":{\"type\":\"Other\"}}", NULL, "Nmt" },
		{ MODEL(",\"merges\":[]") ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA=\"}"
		                          "}",
		  NULL, "precompiled_charsmap" },
		{ MODEL(",\"merges\":[]") ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":"
		                          "\"DAAAAACAAQBhDQAAAAAAgOYA\"}}",
		  NULL, "a text that is not valid UTF-8" },
		{ MODEL(",\"merges\":[]") ",\"decoder\":{\"type\":\"Other\"}}", NULL, "WordPiece" },
		{ MODEL(",\"merges\":[]") ",\"post_processor\":{\"type\":\"Other\"}}", NULL, "TemplateProcessing" },
		{ MODEL(",\"merges\":[]") ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}}", NULL,
		  "0 times" },
		{ MODEL(",\"merges\":[]") ",\"added_tokens\":[{\"content\":\"x\"}]}", NULL, "no id" },
		{ MODEL(",\"merges\":[]") ",\"added_tokens\":[7]}", NULL, "added token" },
		{ MODEL(",\"merges\":[]") ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]}", NULL, "two tokens" },
		{ MODEL(",\"merges\":[]") ",\"added_tokens\":[{\"id\":7,\"content\":\"a\"}]}", NULL, "has the id 7" },
		{ MODEL(",\"merges\":[]") ",\"added_tokens\":[{\"id\":7,\"content\":\"\\u00e9\"},{\"id\":8,\"content\":"
		                          "\"e\\u0301\"}],\"normalizer\":{\"type\":\"NFC\"}}",
		  NULL, "twice" },
		{ MODEL(",\"merges\":[]") "}", "{\"eos_token\":7}", "eos_token" },
		{ MODEL(",\"merges\":[]") "}", "{\"added_tokens_decoder\":{\"x\":{}}}", "added_tokens_decoder" },
		{ MODEL(",\"merges\":[]") "}", "{\"chat_template\":7}", "chat_template" },
	};
	test_case(t, "tokenizer.json refused");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_refused(t, cases[i].json, cases[i].config, cases[i].words);
}

static void check_gguf(struct test *t, struct gguf_fixture *f, const char *words)
{
	struct buf b = BUF_INIT;
	struct gguf g;
	struct err e = ERR_INIT;
	fixture_finish(f, &b);
	CHECK(t, gguf_parse(&g, b.data, b.len, "tiny.gguf", &e) == 0);
	struct tokenizer *k = tokenizer_from_gguf(&g, &e);
	if (words)
		CHECK_MSG(t, !k && strstr(e.msg, words) && strstr(e.msg, "tiny.gguf") == e.msg,
		          "wanted a sentence with '%s', got '%s'", words, e.msg);
	else
		CHECK_MSG(t, k, "%s", e.msg);
	tokenizer_free(k);
	gguf_close(&g);
	buf_release(&b);
}

static void test_gguf_refused(struct test *t)
{
	static const char *const tokens[] = { "a", "b", "ab", "" }, *const wrong[] = { "a", "a" },
				 *const invalid[] = { "a", "\xff" };
	static const char *const merges[] = { "a b" }, *const bad_merges[] = { "ab" }, *const unknown[] = { "b a" };
	static const int32_t types[] = { 1, 3, 4, 1 };
	static const struct {
		const char *model, *pre;
		const char *const *tokens;
		size_t n;
		const char *const *merges;
		int n_types;
		int bos;
		const char *words;
	} cases[] = {
		{ "gpt2", "smollm", tokens, 4, merges, 4, 1, NULL },
		{ "gpt2", "smollm", tokens, 4, merges, 0, -1, NULL },
		{ "llama", "default", tokens, 4, merges, 4, 1, "tokenizer.ggml.scores" },
		{ "t5", "default", tokens, 4, merges, 4, 1, "tokenizer.ggml.scores" },
		{ "plamo2", "default", tokens, 4, merges, 4, 1, "plamo2" },
		{ "bert", "x", tokens, 4, merges, 4, 1, "unknown_token_id" },
		{ NULL, "x", tokens, 4, merges, 4, 1, "tokenizer.ggml.model" },
		{ "gpt2", "nobody", tokens, 4, merges, 4, 1, "nobody" },
		{ "gpt2", NULL, tokens, 4, merges, 4, 1, "tokenizer.ggml.pre" },
		{ "gpt2", "", tokens, 4, merges, 4, 1, "\"\"" },
		{ "gpt2", "smollm", NULL, 0, merges, 4, 1, "tokenizer.ggml.tokens" },
		{ "gpt2", "smollm", tokens, 4, NULL, 4, 1, "tokenizer.ggml.merges" },
		{ "gpt2", "smollm", wrong, 2, merges, 0, 1, "twice" },
		{ "gpt2", "smollm", invalid, 2, merges, 0, 1, "UTF-8" },
		{ "gpt2", "smollm", tokens, 4, bad_merges, 4, 1, "merge 0" },
		{ "gpt2", "smollm", tokens, 4, unknown, 4, 1, "merge 0" },
		{ "gpt2", "smollm", tokens, 4, merges, 2, 1, "token_type" },
		{ "gpt2", "smollm", tokens, 4, merges, 4, 4, "bos_token_id" },
		{ "gpt2", "smollm", tokens, 4, merges, 4, 3, "bos_token_id" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gguf_fixture f = { 0 };
		test_case(t, "GGUF %zu %s", i, cases[i].words ? cases[i].words : "accepted");
		if (cases[i].model)
			fixture_str(&f, "tokenizer.ggml.model", cases[i].model);
		if (cases[i].pre)
			fixture_str(&f, "tokenizer.ggml.pre", cases[i].pre);
		if (cases[i].tokens)
			fixture_strings(&f, "tokenizer.ggml.tokens", cases[i].tokens, cases[i].n);
		if (cases[i].merges)
			fixture_strings(&f, "tokenizer.ggml.merges", cases[i].merges, 1);
		if (cases[i].n_types)
			fixture_i32s(&f, "tokenizer.ggml.token_type", types, (size_t)cases[i].n_types);
		fixture_i32s(&f, "unused", types, 1);
		fixture_u32(&f, "tokenizer.ggml.bos_token_id", (uint32_t)cases[i].bos);
		check_gguf(t, &f, cases[i].words);
	}
}

/* What ends an answer: tokens and, where not −1, ids of eos, eot and fill-in-the-middle's padding, against llama.cpp's
 * llama_vocab_is_eog of such a file. */
static void test_gguf_ends(struct test *t)
{
	static const struct { const char *tokens[6]; int eos, eot, pad; const char *ends; } cases[] = {
		{ { "a", "b", "<|im_start|>", "<|im_end|>", "<|endoftext|>" }, 4, -1, -1, "3 4" },
		{ { "a", "b", "c" }, 1, 2, -1, "1 2" },
		{ { "a", "b", "c" }, -1, -1, -1, "" },
		{ { "a", "<eos>", "<end_of_turn>", "<pad>" }, 1, -1, -1, "1 2" },
		{ { "<|return|>", "<|call|>", "<|end|>", "<|endoftext|>" }, 0, -1, -1, "0 1 3" },
		{ { "<|return|>", "<|end|>", "a" }, 0, -1, -1, "0 1" },
		{ { "<|calls|>", "<|flush|>", "<|end|>" }, 0, -1, -1, "0 1" },
		{ { "</s>", "<|tool_response>", "<turn|>" }, 2, -1, -1, "1 2" },
		{ { "</s>", "a" }, -1, -1, -1, "0" },
		{ { "<|fim_pad|>", "<fim_pad>", "<|repo_name|>", "<|file_sep|>", "a" }, 4, -1, -1, "0 2 3 4" },
		{ { "<|fim_pad|>", "b", "a" }, 2, -1, 1, "1 2" },
		{ { "a", "b" }, 7, -1, -1, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gguf_fixture f = { 0 };
		struct buf b = BUF_INIT, found = BUF_INIT;
		struct tokens ends = { 0 };
		struct gguf g;
		struct err e = ERR_INIT;
		size_t n = 0;
		test_case(t, "GGUF ends %zu", i);
		while (n < ARRAY_LEN(cases[i].tokens) && cases[i].tokens[n])
			n++;
		fixture_strings(&f, "tokenizer.ggml.tokens", cases[i].tokens, n);
		if (cases[i].eos >= 0)
			fixture_u32(&f, "tokenizer.ggml.eos_token_id", (uint32_t)cases[i].eos);
		if (cases[i].eot >= 0)
			fixture_u32(&f, "tokenizer.ggml.eot_token_id", (uint32_t)cases[i].eot);
		if (cases[i].pad >= 0)
			fixture_u32(&f, "tokenizer.ggml.fim_pad_token_id", (uint32_t)cases[i].pad);
		fixture_finish(&f, &b);
		CHECK(t, gguf_parse(&g, b.data, b.len, "ends.gguf", &e) == 0);
		gguf_ends(&g, &ends);
		for (size_t k = 0; k < ends.n; k++)
			buf_addf(&found, "%s%d", k ? " " : "", ends.id[k]);
		CHECK_MSG(t, !strcmp(buf_str(&found), cases[i].ends), "%s", buf_str(&found));
		tokens_release(&ends);
		buf_release(&found);
		gguf_close(&g);
		buf_release(&b);
	}
}

/* A text that llama.cpp knows is split off whatever its type says: as special, or, a part of an answer, always. */
static void test_gguf_known(struct test *t)
{
	static const char *const tokens[] = { "a", "b", "<|im_end|>", "<|channel|>" }, *const merges[] = { "a b" };
	static const int32_t types[] = { 1, 1, 1, 3 };
	struct gguf_fixture f = { 0 };
	struct buf b = BUF_INIT;
	struct gguf g;
	struct err e = ERR_INIT;

	test_case(t, "GGUF tokens known by their text");
	fixture_str(&f, "tokenizer.ggml.model", "gpt2");
	fixture_str(&f, "tokenizer.ggml.pre", "smollm");
	fixture_strings(&f, "tokenizer.ggml.tokens", tokens, 4);
	fixture_i32s(&f, "tokenizer.ggml.token_type", types, 4);
	fixture_strings(&f, "tokenizer.ggml.merges", merges, 0);
	fixture_finish(&f, &b);
	CHECK(t, gguf_parse(&g, b.data, b.len, "known.gguf", &e) == 0);
	struct tokenizer *k = tokenizer_from_gguf(&g, &e);
	CHECK_MSG(t, k, "%s", e.msg);
	check_ids(t, k, "a<|im_end|>b<|channel|>", TOKENIZE_SPECIAL, "0 2 1 3");
	check_ids(t, k, "a<|channel|>b", 0, "0 3 1");
	tokenizer_free(k);
	gguf_close(&g);
	buf_release(&b);
}

/* --- files --- */

static void test_saved(struct test *t)
{
	static const char *const models[] = { "llama.gguf", "llama", "gpt2" };
	static const char text[] = "<|begin|>user: the cat's 123  things\n\xf0\x9f\x91\x8d<|end|>";
	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		test_case(t, "saved %s", models[i]);
		struct err e = ERR_INIT;
		struct tokens a = { 0 }, b = { 0 };
		char *dir = mem_printf("%s/saved-%zu", test_tmp(), i);
		struct tokenizer *k = load_golden(t, models[i]), *again = NULL;
		CHECK_MSG(t, k && tokenizer_save(k, dir, &e) == 0 && (again = tokenizer_from_dir(dir, &e)), "%s",
		          e.msg);
		if (again) {
			CHECK(t, tokenizer_encode(k, text, strlen(text), TOKENIZE_SPECIAL, &a, &e) == 0 &&
			                 tokenizer_encode(again, text, strlen(text), TOKENIZE_SPECIAL, &b, &e) == 0);
			CHECK(t, a.n == b.n && memcmp(a.id, b.id, a.n * sizeof(*a.id)) == 0);
			CHECK(t, tokenizer_bos(k) == tokenizer_bos(again) && tokenizer_eos(k) == tokenizer_eos(again) &&
			                 tokenizer_pad(k) == tokenizer_pad(again) &&
			                 tokenizer_front(k) == tokenizer_front(again) &&
			                 tokenizer_size(k) == tokenizer_size(again));
			CHECK(t, !tokenizer_template(k) ?
			                 !tokenizer_template(again) :
			                 strcmp(tokenizer_template(k), tokenizer_template(again)) == 0);
			char *x = tokenizer_hash_text(k), *y = tokenizer_hash_text(again);
			CHECK(t, strncmp(x, y, 200) == 0 && (i == 0 || strcmp(x, y) == 0));
			mem_free(x);
			mem_free(y);
		}
		tokens_release(&a);
		tokens_release(&b);
		tokenizer_free(k);
		tokenizer_free(again);
		mem_free(dir);
	}
}

static void test_old_files(struct test *t)
{
	struct err e = ERR_INIT;
	char *dir = mem_printf("%s/old", test_tmp()), *vocab = io_join(dir, "vocab.json"),
	     *merges = io_join(dir, "merges.txt"), *config = io_join(dir, "tokenizer_config.json");
	static const char vocab_text[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3}",
			  merges_text[] = "#version: 0.2\na b\n";
	static const char other[] = "{\"tokenizer_class\":\"OtherTokenizer\"}";
	test_case(t, "vocab.json and merges.txt");
	CHECK(t, io_mkdirs(dir, &e) == 0 && !tokenizer_from_dir(dir, &e) && strstr(e.msg, "no tokenizer there"));
	CHECK(t, io_write(vocab, vocab_text, strlen(vocab_text), &e) == 0 &&
	                 io_write(merges, merges_text, strlen(merges_text), &e) == 0);
	struct tokenizer *k = tokenizer_from_dir(dir, &e);
	CHECK_MSG(t, k, "%s", e.msg);
	if (k) {
		check_ids(t, k, "abba<|endoftext|>", TOKENIZE_SPECIAL, "2 1 0 3");
		CHECK(t, tokenizer_bos(k) == 3 && tokenizer_eos(k) == 3 && tokenizer_pad(k) == -1 &&
		                 tokenizer_front(k) < 0);
	}
	tokenizer_free(k);
	CHECK(t, io_write(config, other, strlen(other), &e) == 0 && !tokenizer_from_dir(dir, &e) &&
	                 strstr(e.msg, "OtherTokenizer"));
	CHECK(t, io_write(config, "{", 1, &e) == 0 && !tokenizer_from_dir(dir, &e) &&
	                 strstr(e.msg, "tokenizer_config.json"));
	mem_free(dir);
	mem_free(vocab);
	mem_free(merges);
	mem_free(config);
}

void test_tokenizer(struct test *t)
{
	test_goldens(t);
	test_kinds(t);
	test_named(t);
	test_words(t);
	test_patterns(t);
	test_normal(t);
	test_charsmap(t);
	test_replace(t);
	test_merges(t);
	test_missing_bytes(t);
	test_added(t);
	test_bos(t);
	test_refused(t);
	test_gguf_refused(t);
	test_gguf_ends(t);
	test_gguf_known(t);
	test_saved(t);
	test_old_files(t);
}
