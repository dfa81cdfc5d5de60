/* tokenize: a text as a model sees it: its tokens, their ids, and where in the text each stands; and ids as a text.
 *
 * Of a model only its tokenizer is read: a folder that has no more than that, a GGUF, or one file of a tokenizer.
 * Offsets count from 0, the end is behind the last byte or character; of a character that is in several tokens each has
 * the whole, where its bytes are not told apart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/command.h"
#include "cmd/token_view.h"
#include "token/tokenizer.h"

extern const struct command cmd_tokenize;

#define WANTED "a model, and a text, a file, or - for standard input were wanted"

struct tokenize {
	struct common common;
	bool ids, count, decode, add_special, parse_special, skip_special;
};

static const struct opt tokenize_opts[] = {
	OPT_FLAG("ids", struct tokenize, ids, "false", "only the ids, on one line"),
	OPT_FLAG("count", struct tokenize, count, "false", "only how many tokens there are"),
	OPT_FLAG("decode", struct tokenize, decode, "false",
	         "the way back: ids, apart by white space or commas, to their text"),
	{ OPT_TYPE_FLAG, "add-special-tokens", "special-tokens", offsetof(struct tokenize, add_special), "true", 0, 0,
	  NULL, NULL, "what the tokenizer puts around every text, as a beginning of sequence" },
	OPT_FLAG("parse-special", struct tokenize, parse_special, "true",
	         "the text of a special token is that token; if not, it is text as any other"),
	OPT_FLAG("skip-special-tokens", struct tokenize, skip_special, "false", "--decode leaves special tokens out"),
	COMMON_OPTS(struct tokenize, common),
	OPT_END
};

struct tokenized {
	const struct tokenizer *t;
	struct buf text;
	struct tokens ids, begins, ends;
	struct around around; /* of no tokens where none are added */
};

/* A file where there is one of this name, else the words themselves. */
static int read_input(struct tokenized *s, const char *from, struct err *e)
{
	if (!strcmp(from, "-") || io_exists(from))
		return io_read(&s->text, from, e);
	buf_adds(&s->text, from);
	return 0;
}

/* --- ids to text --- */

#define APART " \t\r\n,[]"

static int read_id(const char **at, const struct tokenizer *t, int32_t *id, struct err *e)
{
	size_t n = strcspn(*at, APART), digits = strspn(*at, "0123456789"), size = tokenizer_size(t);
	*id = digits == n && n < 10 ? (int32_t)strtol(*at, NULL, 10) : -1;
	if (*id < 0 || !tokenizer_text(t, *id))
		return err_set(e, "\"%.*s\" is no id: the tokenizer has %zu tokens", (int)MIN(n, (size_t)40), *at,
		               size);
	*at += n;
	return 0;
}

static int decode(const struct app *app, const struct tokenize *o, struct tokenized *s, struct err *e)
{
	const char *at = buf_str(&s->text);
	struct buf out = BUF_INIT;
	int32_t id;

	for (at += strspn(at, APART); *at; at += strspn(at, APART)) {
		if (read_id(&at, s->t, &id, e) < 0)
			return -1;
		tokens_add(&s->ids, id);
	}
	tokenizer_decode(s->t, s->ids.id, s->ids.n, o->skip_special, &out);
	if (app->json) {
		json_t *j = json_pack("{s:o, s:I}", "text", jsonx_text(buf_str(&out), out.len), "tokens",
		                      (json_int_t)s->ids.n);
		app_summary(app, j);
	} else {
		app_text(buf_str(&out), out.len);
		app_text("\n", 1);
	}
	buf_release(&out);
	return 0;
}

/* --- text to ids --- */

/* Numbers of bytes as numbers of characters; they never fall far behind each other. */
struct counter {
	const char *text;
	size_t byte, character;
};

static size_t characters(struct counter *c, size_t byte)
{
	if (byte < c->byte)
		*c = (struct counter){ c->text, 0, 0 };
	for (; c->byte < byte; c->byte++)
		c->character += ((unsigned char)c->text[c->byte] & 0xC0) != 0x80;
	/* inside of a character: what has its first byte has it */
	return c->character;
}

/* The number of the character that byte is of. */
static size_t character_of(struct counter *c, size_t byte)
{
	size_t at = byte;
	while (at > 0 && ((unsigned char)c->text[at] & 0xC0) == 0x80)
		at--;
	return characters(c, at);
}

/* One token; begin < 0: it is not of the text. */
static void show_token(const struct app *app, const struct tokenized *s, struct counter *c, int32_t id, long begin,
                       long end)
{
	json_t *text = token_string(s->t, id), *piece = json_string(tokenizer_text(s->t, id));
	size_t from = begin < 0 ? 0 : character_of(c, (size_t)begin), to = begin < 0 ? 0 : characters(c, (size_t)end);

	if (app->json) {
		json_t *j = json_pack("{s:i, s:O, s:O, s:b}", "id", id, "piece", piece, "token", text, "special",
		                      tokenizer_is_special(s->t, id));
		json_object_set_new(j, "bytes", begin < 0 ? json_null() : json_pack("[i,i]", (int)begin, (int)end));
		json_object_set_new(j, "characters", begin < 0 ? json_null() : json_pack("[i,i]", (int)from, (int)to));
		app_json(j);
		json_decref(j);
	} else {
		char *quoted = jsonx_line(text), *written = jsonx_line(piece); /* line ends and the like made visible */
		char bytes[48] = "-", letters[48] = "-";
		if (begin >= 0) {
			snprintf(bytes, sizeof(bytes), "%ld-%ld", begin, end);
			snprintf(letters, sizeof(letters), "%zu-%zu", from, to);
		}
		int space = 18 - (int)MIN(utf8_count(quoted, strlen(quoted)), (size_t)18);
		app_print("%7d %13s %13s  %s%*s  %s\n", id, bytes, letters, quoted, space, "", written);
		mem_free(quoted);
		mem_free(written);
	}
	json_decref(text);
	json_decref(piece);
}

static void show_tokens(const struct app *app, const struct tokenized *s)
{
	struct counter c = { buf_str(&s->text), 0, 0 };

	if (!app->json)
		app_print("     id         bytes    characters  token               piece\n");
	for (size_t i = 0; i < s->around.n_front; i++)
		show_token(app, s, &c, s->around.front[i], -1, -1);
	for (size_t i = 0; i < s->ids.n; i++)
		show_token(app, s, &c, s->ids.id[i], s->begins.id[i], s->ends.id[i]);
	for (size_t i = 0; i < s->around.n_back; i++)
		show_token(app, s, &c, s->around.back[i], -1, -1);
}

static void put_ids(struct buf *out, const int32_t *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%d", out->len ? " " : "", id[i]);
}

static void show_ids(const struct tokenized *s)
{
	struct buf out = BUF_INIT;

	put_ids(&out, s->around.front, s->around.n_front);
	put_ids(&out, s->ids.id, s->ids.n);
	put_ids(&out, s->around.back, s->around.n_back);
	app_print("%s\n", buf_str(&out));
	buf_release(&out);
}

static void summarize(const struct app *app, const struct tokenize *o, const struct tokenized *s)
{
	size_t n = s->ids.n + s->around.n_front + s->around.n_back;
	size_t letters = utf8_count(buf_str(&s->text), s->text.len);
	json_t *j = json_pack("{s:I, s:I, s:I}", "tokens", (json_int_t)n, "bytes", (json_int_t)s->text.len,
	                      "characters", (json_int_t)letters);

	if (app->json && o->ids) {
		json_t *list = json_array();
		for (size_t i = 0; i < n; i++) {
			const struct around *a = &s->around;
			int32_t id = i < a->n_front            ? a->front[i] :
			             i - a->n_front < s->ids.n ? s->ids.id[i - a->n_front] :
			                                         a->back[i - a->n_front - s->ids.n];
			json_array_append_new(list, json_integer(id));
		}
		json_object_set_new(j, "ids", list);
	}
	app_summary(app, j);
	if (o->count)
		app_print("%zu\n", n);
	else if (!o->ids && !app->json)
		app_print("%zu tokens, %zu bytes, %zu characters\n", n, s->text.len, letters);
}

static int encode(const struct app *app, const struct tokenize *o, struct tokenized *s, struct err *e)
{
	int flags = o->parse_special ? TOKENIZE_SPECIAL : 0;
	bool brief = o->ids || o->count;

	if (tokenizer_encode_spans(s->t, buf_str(&s->text), s->text.len, flags, &s->ids, brief ? NULL : &s->begins,
	                           brief ? NULL : &s->ends, e) < 0)
		return -1;
	if (o->add_special)
		s->around = tokenizer_around(s->t);
	if (!brief)
		show_tokens(app, s);
	else if (o->ids && !app->json)
		show_ids(s);
	summarize(app, o, s);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct tokenize *o = options;
	struct tokenized s = { 0 };

	if (o->ids + o->count + o->decode > 1)
		return app_usage(&cmd_tokenize, "--ids, --count and --decode exclude each other");
	struct tokenizer *t = tokenizer_open(p->positional[0], e);
	int status = t ? read_input(&s, p->positional[1], e) : -1;
	s.t = t;
	if (status == 0 && o->decode)
		status = decode(app, o, &s, e);
	else if (status == 0 && (status = encode(app, o, &s, e)) < 0)
		err_prefix(e, "%.200s", p->positional[1]);
	buf_release(&s.text);
	tokens_release(&s.ids);
	tokens_release(&s.begins);
	tokens_release(&s.ends);
	tokenizer_free(t);
	return status;
}

const struct command cmd_tokenize = {
	.name = "tokenize",
	.summary = "the tokens of a text, their ids and where each stands; ids as a text",
	.usage = "MODEL TEXT|FILE|- [options]",
	.example = "kungfu tokenize model.gguf \"Hello, world\"",
	.brief = "text as a model reads it",
	.order = 32,
	.looks = true,
	.opts = tokenize_opts,
	.options_size = sizeof(struct tokenize),
	.least = 2,
	.most = 2,
	.wanted = WANTED,
	.run = run,
};
