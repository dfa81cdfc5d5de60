/* openai_constrain: what an answer is to be a text of, in the words of several clients: OpenAI's response_format,
 * llama-server's grammar and json_schema, vLLM's structured_outputs. Each becomes GBNF, and grammars are kept by that,
 * so that requests of one share its masks. Used by one call at a time (openai.calls). */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "grammar/chars.h"

enum { KEPT = 16 };

struct kept {
	uint64_t hash[2];
	bool marks;
	struct grammar *grammar;
	uint64_t used;
};

struct grammars {
	struct grammar_vocabulary *v[2]; /* without marks of calls and with them; NULL: not asked for yet */
	struct kept kept[KEPT];
	uint64_t asked;
};

#define refuse(r, key, ...) (openai_error(r, 400, "invalid_value", key, __VA_ARGS__), -1)

/* --- grammars that are kept --- */

static struct kept *find(struct grammars *g, const uint64_t hash[2], bool marks)
{
	struct kept *oldest = &g->kept[0];

	for (size_t i = 0; i < KEPT; i++) {
		struct kept *k = &g->kept[i];
		if (k->grammar && k->marks == marks && !memcmp(k->hash, hash, sizeof(k->hash)))
			return k;
		if (k->used < oldest->used)
			oldest = k;
	}
	return oldest;
}

struct grammar *openai_grammar(struct openai *s, const struct buf *gbnf, bool marks, struct err *e)
{
	struct grammars *g = s->grammars ? s->grammars : (s->grammars = mem_alloc(sizeof(*g)));
	uint64_t hash[2];

	hash_128(buf_str(gbnf), gbnf->len, hash);
	struct kept *k = find(g, hash, marks);
	bool there = k->grammar && k->marks == marks && !memcmp(k->hash, hash, sizeof(hash));
	if (!there) {
		const struct model *m = s->o.model;
		if (!g->v[marks])
			g->v[marks] = grammar_vocabulary_new(m->tokenizer, (size_t)m->config.V, &s->ends,
			                                     marks ? buf_str(&s->call_marks) : NULL);
		struct grammar *new = grammar_new(buf_str(gbnf), gbnf->len, g->v[marks], e);
		if (!new)
			return NULL;
		grammar_free(k->grammar);
		*k = (struct kept){ { hash[0], hash[1] }, marks, new, 0 };
	}
	k->used = ++g->asked;
	return grammar_again(k->grammar);
}

void openai_grammars_free(struct grammars *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < KEPT; i++)
		grammar_free(g->kept[i].grammar);
	grammar_vocabulary_free(g->v[0]);
	grammar_vocabulary_free(g->v[1]);
	mem_free(g);
}

/* --- what is asked --- */

static int of_schema(const json_t *schema, const char *key, struct buf *gbnf, struct http_reply *r)
{
	struct err e = ERR_INIT;

	return grammar_of_schema(schema, gbnf, &e) == 0 ? 0 : refuse(r, key, "'%s': %s", key, e.msg);
}

static int read_format(const json_t *format, struct buf *gbnf, struct http_reply *r)
{
	const json_t *holder = json_object_get(format, "json_schema"), *schema = json_object_get(holder, "schema");
	const char *type = json_string_value(json_object_get(format, "type"));

	if (!schema)
		schema = json_object_get(format, "schema"); /* llama-server's */
	if (!type || (strcmp(type, "text") && strcmp(type, "json_object") && strcmp(type, "json_schema"))) {
		openai_error(r, 400, "unsupported_value", "response_format",
		             "'response_format' %.40s is not served here; text, json_object and json_schema are",
		             type ? type : "without a type");
		return -1;
	}
	if (!strcmp(type, "json_schema") && !schema)
		return refuse(r, "response_format", "'response_format' json_schema is without a schema");
	if (!strcmp(type, "text"))
		return 0;
	if (schema)
		return of_schema(schema, "response_format", gbnf, r);
	grammar_of_json(gbnf);
	return 0;
}

/* Texts, of which the answer is one. */
static int of_choice(const json_t *list, struct buf *gbnf, struct http_reply *r)
{
	buf_adds(gbnf, "root ::= ");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		if (!json_is_string(one))
			return refuse(r, "structured_outputs", "'structured_outputs' choice is a list of texts");
		buf_adds(gbnf, i ? " | " : "");
		gbnf_quote(gbnf, json_string_value(one), json_string_length(one));
	}
	buf_adds(gbnf, "\n");
	return json_array_size(list) ?
	               0 :
	               refuse(r, "structured_outputs", "'structured_outputs' choice is a list of texts");
}

/* vLLM's: one of json, regex, choice, grammar, json_object. */
static int read_structured(const json_t *asked, struct buf *gbnf, struct http_reply *r)
{
	const json_t *one = NULL;
	struct err e = ERR_INIT;
	const char *key = "", *name;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)asked, name, value) {
		if (openai_is_nothing(value))
			continue;
		if (one)
			return refuse(r, "structured_outputs", "'structured_outputs' has both %.40s and %.40s", key,
			              name);
		one = value;
		key = name;
	}
	if (one && !strcmp(key, "json"))
		return of_schema(one, "structured_outputs", gbnf, r);
	if (one && !strcmp(key, "choice"))
		return of_choice(one, gbnf, r);
	if (one && !strcmp(key, "json_object")) {
		grammar_of_json(gbnf);
		return 0;
	}
	if (!json_is_string(one) || (strcmp(key, "regex") != 0 && strcmp(key, "grammar") != 0))
		return refuse(r, "structured_outputs",
		              "'structured_outputs' is an object with json, regex, choice, grammar "
		              "or json_object");
	if (!strcmp(key, "grammar"))
		buf_add(gbnf, json_string_value(one), json_string_length(one));
	else if (grammar_of_regex(json_string_value(one), json_string_length(one), gbnf, &e) < 0)
		return refuse(r, "structured_outputs", "'structured_outputs': %s", e.msg);
	return 0;
}

/* GBNF of what is asked under a key. */
static int read_key(const char *key, const json_t *asked, struct buf *gbnf, struct http_reply *r)
{
	if (!strcmp(key, "response_format"))
		return read_format(asked, gbnf, r);
	if (!strcmp(key, "json_schema"))
		return of_schema(asked, key, gbnf, r);
	if (!strcmp(key, "structured_outputs"))
		return read_structured(asked, gbnf, r);
	if (!json_is_string(asked))
		return refuse(r, key, "'%s' is a text", key);
	buf_add(gbnf, json_string_value(asked), json_string_length(asked));
	return 0;
}

int ask_constrain(struct ask *a, const json_t *sent, struct http_reply *r)
{
	static const char *const keys[] = { "response_format", "grammar", "json_schema", "structured_outputs" };
	struct buf gbnf = BUF_INIT;
	struct err e = ERR_INIT;
	const char *said = NULL;
	int status = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys) && status == 0; i++) {
		const json_t *asked = json_object_get(sent, keys[i]);
		size_t before = gbnf.len;
		if (!asked || openai_is_nothing(asked))
			continue;
		status = read_key(keys[i], asked, &gbnf, r);
		if (status == 0 && before)
			status = refuse(r, keys[i], "'%s' and '%s' both say what the answer is", said, keys[i]);
		if (gbnf.len)
			said = keys[i];
	}
	if (status == 0 && gbnf.len && !(a->grammar = openai_grammar(a->s, &gbnf, false, &e)))
		status = refuse(r, said, "'%s': %s", said, e.msg);
	a->format = gbnf;
	return status;
}
