/* constraining: what an answer is to be a text of, as options that generate and chat share. */
#ifndef CMD_CONSTRAINING_H
#define CMD_CONSTRAINING_H

#include "base/opt.h"
#include "grammar/grammar.h"
#include "model/model.h"

struct constraining_options { const char *grammar, *grammar_file, *json_schema, *regex; };

#define CONSTRAINING_OPTS(s, f) \
	OPT_STRING("grammar", s, f.grammar, NULL, "GBNF", "the answer is a text of this grammar (llama.cpp's form)"), \
		OPT_STRING("grammar-file", s, f.grammar_file, NULL, "FILE", "the same, from a file"), \
		{ OPT_TYPE_STRING, "json-schema", "j", offsetof(s, f.json_schema), NULL, 0, 0, NULL, "JSON|@FILE", \
	          "the answer is JSON that this schema allows; {}: any" }, \
		OPT_STRING("regex", s, f.regex, NULL, "REGEX", \
	                   "the answer matches it, from its first to its last character")

struct constraining {
	struct grammar_vocabulary *vocabulary;
	struct grammar *grammar;       /* NULL: an answer may be anything */
};

/* The model's tokenizer must be there. −1 and a sentence; constraining_close in any case. */
int constraining_open(struct constraining *c, const struct constraining_options *o, struct model *m, struct err *e);
void constraining_close(struct constraining *c);

#endif
