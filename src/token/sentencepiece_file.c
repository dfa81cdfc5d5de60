/* sentencepiece_file: tokenizer.model and its kin, SentencePiece's ModelProto (its sentencepiece_model.proto), of BPE
 * and Unigram.
 *
 * The class that tokenizer_config.json names says how transformers numbers the pieces (XLM-RoBERTa's begin with
 * fairseq's four) and what it puts around a text; without one, pieces have their own numbers and nothing is put there,
 * as in SentencePiece itself. A class that has a numbering of its own which is not known here is refused by name. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "token/sentencepiece.h"
#include "token/tokenizer_files.h"
#include "token/tokenizer_parts.h"

enum piece_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };
enum model_type { UNIGRAM = 1, BPE, WORD, CHAR };
enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct sp_piece {
	const char *text;
	size_t n;
	float score;
	enum piece_type type;
};

struct sp_file {
	struct sp_piece *piece;
	size_t n, cap;
	enum model_type model;
	struct sentencepiece rules;
	bool fallback, suffix, marks;
	int64_t bos, eos, pad;
};

/* --- protobuf --- */

/* A field: its number, and what it holds. */
struct field {
	uint32_t number;
	enum wire wire;
	uint64_t value;
	const uint8_t *bytes;
	size_t n;
};

static uint64_t varint(struct cursor *c)
{
	uint64_t v = 0;
	for (int shift = 0; shift < 64; shift += 7) {
		uint8_t byte = cursor_u8(c);
		v |= (uint64_t)(byte & 0x7F) << shift;
		if (!(byte & 0x80))
			return v;
	}
	c->failed = true;
	return 0;
}

static bool next_field(struct cursor *c, struct field *f)
{
	if (!cursor_left(c))
		return false;
	uint64_t key = varint(c);
	*f = (struct field){ .number = (uint32_t)(key >> 3), .wire = (enum wire)(key & 7) };
	switch (f->wire) {
	case VARINT: f->value = varint(c); break;
	case FIXED64: f->value = cursor_u64(c); break;
	case FIXED32: f->value = cursor_u32(c); break;
	case BYTES:
		f->value = varint(c);
		f->n = f->value <= cursor_left(c) ? (size_t)f->value : 0;
		c->failed |= f->value > cursor_left(c);
		f->bytes = cursor_bytes(c, f->n);
		break;
	default: c->failed = true;
	}
	return !c->failed;
}

static bool read_piece(struct sp_file *s, const struct field *in)
{
	struct cursor c = cursor_make(in->bytes, in->n);
	struct sp_piece p = { .text = "", .type = NORMAL };
	struct field f;
	while (next_field(&c, &f)) {
		if (f.number == 1 && f.wire == BYTES) {
			p.text = (const char *)f.bytes;
			p.n = f.n;
		}
		if (f.number == 2 && f.wire == FIXED32) {
			uint32_t bits = (uint32_t)f.value;
			memcpy(&p.score, &bits, sizeof(p.score));
		}
		if (f.number == 3 && f.wire == VARINT)
			p.type = (enum piece_type)f.value;
	}
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 1024;
		s->piece = mem_grow(s->piece, s->cap, sizeof(*s->piece));
	}
	s->piece[s->n++] = p;
	return !c.failed;
}

static bool read_trainer(struct sp_file *s, const struct field *in)
{
	struct cursor c = cursor_make(in->bytes, in->n);
	struct field f;
	while (next_field(&c, &f)) {
		if (f.wire != VARINT)
			continue;
		switch (f.number) {
		case 3: s->model = (enum model_type)f.value; break;
		case 24: s->suffix = f.value; break;
		case 35: s->fallback = f.value; break;
		case 41: s->bos = (int64_t)f.value; break;
		case 42: s->eos = (int64_t)f.value; break;
		case 43: s->pad = (int64_t)f.value; break;
		default: break;
		}
	}
	return !c.failed;
}

static bool read_normalizer(struct sp_file *s, const struct field *in)
{
	struct cursor c = cursor_make(in->bytes, in->n);
	struct field f;
	while (next_field(&c, &f)) {
		if (f.number == 2 && f.wire == BYTES) {
			s->rules.charsmap = f.bytes;
			s->rules.n_charsmap = f.n;
		}
		if (f.number == 3)
			s->rules.dummy_prefix = f.value;
		if (f.number == 4)
			s->rules.squeeze = f.value;
		if (f.number == 5)
			s->marks = f.value;
	}
	return !c.failed;
}

static int read_model(struct sp_file *s, const void *data, size_t size, struct err *e)
{
	struct cursor c = cursor_make(data, size);
	struct field f;
	bool good = true;
	*s = (struct sp_file){ .model = UNIGRAM, .marks = true, .bos = 1, .eos = 2, .pad = -1 };
	s->rules.dummy_prefix = s->rules.squeeze = true;
	while (good && next_field(&c, &f)) {
		if (f.number >= 1 && f.number <= 3 && f.wire != BYTES)
			good = false;
		else if (f.number == 1)
			good = read_piece(s, &f);
		else if (f.number == 2)
			good = read_trainer(s, &f);
		else if (f.number == 3)
			good = read_normalizer(s, &f);
	}
	if (!good || c.failed || s->n == 0)
		return err_set(e, "this is no model of SentencePiece, or a broken one");
	if (s->model != UNIGRAM && s->model != BPE)
		return err_set(e,
		               "a model of words or characters (model_type %d) is not supported, Unigram and BPE are",
		               (int)s->model);
	if (s->suffix || !s->marks)
		return err_set(e, "%s is not supported",
		               s->suffix ? "treat_whitespace_as_suffix" : "a model without escape_whitespaces");
	return 0;
}

/* --- how a class of transformers numbers the pieces --- */

struct numbering {
	const char *classes;   /* apart by spaces, without "Fast" */
	const char *before[5]; /* in front of the pieces */
	size_t skip;           /* pieces that these replace */
	const char *behind[2];
	int extra_ids;            /* <extra_id_99> … <extra_id_0> behind them */
	const char *front, *back; /* around a text */
	bool every;               /* what follows an added token gets a space in front too */
};

static const struct numbering numberings[] = {
	{ .classes = "LlamaTokenizer CodeLlamaTokenizer GemmaTokenizer" },
	{ .classes = "T5Tokenizer MT5Tokenizer", .extra_ids = 100, .back = "</s>", .every = true },
	{ .classes = "XLMRobertaTokenizer",
	  .before = { "<s>", "<pad>", "</s>", "<unk>" },
	  .skip = 3,
	  .behind = { "<mask>" },
	  .front = "<s>",
	  .back = "</s>",
	  .every = true },
	{ .classes = "AlbertTokenizer", .front = "[CLS]", .back = "[SEP]", .every = true },
	{ .classes = "" },
};

static const char others[] =
	" CamembertTokenizer MBartTokenizer MBart50Tokenizer NllbTokenizer BarthezTokenizer PegasusTokenizer "
	"XGLMTokenizer "
	"DebertaV2Tokenizer BigBirdTokenizer FNetTokenizer RemBertTokenizer XLNetTokenizer M2M100Tokenizer "
	"MarianTokenizer "
	"SeamlessM4TTokenizer Speech2TextTokenizer PLBartTokenizer CpmTokenizer ErnieMTokenizer ReformerTokenizer "
	"BertGenerationTokenizer LayoutXLMTokenizer UdopTokenizer ";

static bool is_named(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = list; n && *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == n && memcmp(at, name, n) == 0)
			return true;
	return false;
}

static const struct numbering *find_numbering(const json_t *config, struct err *e)
{
	const char *class;
	char name[96];
	size_t i = 0;
	if (jsonx_string(config, "tokenizer_class", "", &class, e))
		return NULL;
	snprintf(name, sizeof(name), "%s", class);
	size_t slow = text_stem(name, "Fast");
	if (slow)
		name[slow] = 0;
	if (is_named(others, name)) {
		err_set(e, "a %s numbers the pieces in a way of its own, which is known from its tokenizer.json alone",
		        class);
		return NULL;
	}
	while (*numberings[i].classes && !is_named(numberings[i].classes, name))
		i++;
	return &numberings[i];
}

/* --- the tokenizer --- */

struct filling {
	struct tokenizer *t;
	float *score;
	size_t cap;
	json_t *added;
	struct err *e;
};

static int put(struct filling *f, const char *text, size_t n, float score, enum piece_type type)
{
	size_t id = f->t->vocab.n;
	if (!utf8_valid(text, n, NULL) || memchr(text, 0, n))
		return err_set(f->e, "piece %zu is not valid UTF-8", id);
	if (!isfinite(score))
		return err_set(f->e, "piece %zu has a score of %g", id, (double)score);
	if (vocab_put(&f->t->vocab, text, n, (long long)id, PIECE_MODEL, f->e))
		return -1;
	if (id >= f->cap) {
		f->cap = MAX(2 * f->cap, (size_t)1024);
		f->score = mem_grow(f->score, f->cap, sizeof(*f->score));
	}
	f->score[id] = type == NORMAL ? score : -INFINITY; /* no other is found inside of a text */
	if (type == UNKNOWN || type == CONTROL || type == USER_DEFINED)
		json_array_append_new(f->added, json_pack("{s:I,s:s#,s:b,s:b}", "id", (json_int_t)id, "content", text,
		                                          (int)n, "special", type != USER_DEFINED, "normalized", 0));
	return 0;
}

static int put_all(struct filling *f, const struct sp_file *s, const struct numbering *u, long long extra)
{
	for (size_t i = 0; i < ARRAY_LEN(u->before) && u->before[i]; i++)
		if (put(f, u->before[i], strlen(u->before[i]), 0, CONTROL))
			return -1;
	for (size_t i = u->skip; i < s->n; i++)
		if (put(f, s->piece[i].text, s->piece[i].n, s->piece[i].score, s->piece[i].type))
			return -1;
	for (size_t i = 0; i < ARRAY_LEN(u->behind) && u->behind[i]; i++)
		if (put(f, u->behind[i], strlen(u->behind[i]), 0, CONTROL))
			return -1;
	for (long long i = extra; i-- > 0;) {
		char text[40];
		int n = snprintf(text, sizeof(text), "<extra_id_%lld>", i);
		if (put(f, text, (size_t)n, 0, CONTROL))
			return -1;
	}
	return vocab_check_sparse(&f->t->vocab, f->e);
}

static void name_token(json_t *config, const char *key, const struct sp_file *s, int64_t id)
{
	if (!json_object_get(config, key) && id >= 0 && (uint64_t)id < s->n && s->piece[id].n)
		json_object_set_new(config, key, json_stringn(s->piece[id].text, s->piece[id].n));
}

static int64_t unknown_of(const struct sp_file *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->piece[i].type == UNKNOWN)
			return (int64_t)i;
	return -1;
}

static json_t *around(const struct tokenizer *t, const struct numbering *u)
{
	json_t *single = json_array(), *known = json_object();
	const char *text[] = { u->front, NULL, u->back };
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		if (i == 1)
			json_array_append_new(single, json_pack("{s:{s:s,s:i}}", "Sequence", "id", "A", "type_id", 0));
		if (!text[i])
			continue;
		json_array_append_new(single, json_pack("{s:{s:s,s:i}}", "SpecialToken", "id", text[i], "type_id", 0));
		json_object_set_new(known, text[i],
		                    json_pack("{s:s,s:[i],s:[s]}", "id", text[i], "ids",
		                              vocab_find(&t->vocab, text[i], strlen(text[i])), "tokens", text[i]));
	}
	return json_pack("{s:s,s:o,s:[],s:o}", "type", "TemplateProcessing", "single", single, "pair", "special_tokens",
	                 known);
}

static int set_rules(struct filling *f, struct sp_file *s, const struct numbering *u, json_t *config)
{
	int legacy;
	const struct sp_piece *unknown = unknown_of(s) >= 0 ? &s->piece[unknown_of(s)] : NULL;
	if (jsonx_bool(config, "legacy", false, &legacy, f->e))
		return -1;
	char *name = unknown ? mem_strndup(unknown->text, unknown->n) : NULL;
	s->rules.every = legacy || u->every;
	json_t *rules = sentencepiece_rules(&s->rules);
	if (u->front || u->back)
		json_object_set_new(rules, "post_processor", around(f->t, u));
	json_object_set(rules, "added_tokens", f->added);
	json_object_set_new(rules, "model",
	                    s->model == BPE ? sentencepiece_bpe(s->fallback, name) :
	                                      json_pack("{s:s,s:i,s:b}", "type", "Unigram", "unk_id",
	                                                name ? vocab_find(&f->t->vocab, name, strlen(name)) : -1,
	                                                "byte_fallback", s->fallback));
	name_token(config, "bos_token", s, s->bos);
	name_token(config, "eos_token", s, s->eos);
	name_token(config, "pad_token", s, s->pad);
	name_token(config, "unk_token", s, unknown_of(s));
	int rc = tokenizer_set_rules(f->t, rules, config, f->e);
	json_decref(rules);
	mem_free(name);
	return rc;
}

static struct tokenizer *make(struct sp_file *s, json_t *config, struct err *e)
{
	const struct numbering *u = find_numbering(config, e);
	long long extra = 0;
	if (!u || (u->extra_ids && jsonx_int(config, "extra_ids", u->extra_ids, &extra, e)))
		return NULL;
	if (extra < 0 || extra > 1 << 16) {
		err_set(e, "extra_ids is %lld", extra);
		return NULL;
	}
	struct filling f = { .t = tokenizer_new(token_model_of(s->model == BPE ? "SentencePiece BPE" : "Unigram")),
		             .added = json_array(),
		             .e = e };
	int rc = put_all(&f, s, u, extra) || f.t->model->load_scores(f.t, f.score, e) || set_rules(&f, s, u, config);
	json_decref(f.added);
	mem_free(f.score);
	if (rc == 0)
		return f.t;
	tokenizer_free(f.t);
	return NULL;
}

struct tokenizer *sentencepiece_open(const char *path, json_t *config, struct err *e)
{
	struct buf data = BUF_INIT;
	struct sp_file s = { 0 };
	struct tokenizer *t = NULL;
	if (io_read(&data, path, e) == 0) {
		if (read_model(&s, data.data, data.len, e) == 0)
			t = make(&s, config, e);
		if (!t)
			err_prefix(e, "%s", path);
	}
	mem_free(s.piece);
	buf_release(&data);
	return t;
}
