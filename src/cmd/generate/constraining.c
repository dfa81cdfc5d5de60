/* constraining: the command line's grammar, schema or regular expression, compiled over the model's vocabulary. */
#include "cmd/generate/constraining.h"

#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "infer/generate.h"

static int read_schema(const char *given, struct buf *gbnf, struct err *e)
{
	json_t *schema = *given == '@' ? jsonx_load_file(given + 1, e) :
	                                 jsonx_load(given, strlen(given), "--json-schema", e);
	int status = schema ? grammar_of_schema(schema, gbnf, e) : -1;

	json_decref(schema);
	return status;
}

static int read_grammar(const struct constraining_options *o, struct buf *gbnf, struct err *e)
{
	if (!!o->grammar + !!o->grammar_file + !!o->json_schema + !!o->regex > 1)
		return err_set(e, "one of --grammar, --grammar-file, --json-schema and --regex says what an answer is");
	if (o->grammar)
		buf_adds(gbnf, o->grammar);
	if (o->grammar_file)
		return io_read(gbnf, o->grammar_file, e);
	if (o->json_schema)
		return read_schema(o->json_schema, gbnf, e);
	return o->regex ? grammar_of_regex(o->regex, strlen(o->regex), gbnf, e) : 0;
}

int constraining_open(struct constraining *c, const struct constraining_options *o, struct model *m, struct err *e)
{
	struct buf gbnf = BUF_INIT;
	struct tokens ends = { 0 };
	int status = read_grammar(o, &gbnf, e);

	*c = (struct constraining){ 0 };
	if (status == 0 && (o->grammar || o->grammar_file || o->json_schema || o->regex))
		status = model_tokenizer(m, e);
	if (status == 0 && (o->grammar || o->grammar_file || o->json_schema || o->regex)) {
		generate_ends(m, &ends);
		c->vocabulary = grammar_vocabulary_new(m->tokenizer, (size_t)m->config.V, &ends, NULL);
		c->grammar = grammar_new(buf_str(&gbnf), gbnf.len, c->vocabulary, e);
		status = c->grammar ? 0 : -1;
	}
	tokens_release(&ends);
	buf_release(&gbnf);
	return status;
}

void constraining_close(struct constraining *c)
{
	grammar_free(c->grammar);
	grammar_vocabulary_free(c->vocabulary);
}
