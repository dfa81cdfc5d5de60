/* in_context: what the commands have in common that put an instruction and examples before what a model is asked
 * (data/fewshot.h): their options, the files that these name, and what it adds to each use. */
#ifndef CMD_IN_CONTEXT_H
#define CMD_IN_CONTEXT_H

#include "cmd/model_common.h"
#include "data/fewshot.h"
#include "infer/text_vectors.h"

struct in_context_options {
	struct opt_list instruction;
	const char *examples, *select, *order, *embedder, *delimiter, *target_delimiter, *prompt;
	int64_t num, seed;
};

#define IN_CONTEXT_GROUP "In context"
/* many: said of --instruction besides. */
#define IN_CONTEXT_TURN_OPTS(s, f, many) \
	OPT_GROUP(IN_CONTEXT_GROUP), \
		OPT_LIST("instruction", s, f.instruction, "TEXT", \
	                 "what is to be done, before the examples: the system's turn where a template writes it; " \
	                 "@FILE: the file's bytes" many), \
		OPT_INT("num-fewshot", s, f.num, "0", 0, 1e6, "examples before each row"), \
		OPT_STRING("examples", s, f.examples, NULL, "FILE", "rows with their answers, of which examples are"), \
		OPT_CHOICE("fewshot-select", s, f.select, "first", FEWSHOT_SELECTS, \
	                   "which: for all rows, or for each row by its words, by vectors, or drawn (random-each: " \
	                   "lm-eval's draws)"), \
		OPT_CHOICE("fewshot-order", s, f.order, "given", FEWSHOT_ORDERS, \
	                   "similar-last: the nearest to the row stands next to it"), \
		OPT_INT("fewshot-seed", s, f.seed, "1234", 0, 9007199254740991.0, "of what is drawn"), \
		OPT_STRING("fewshot-embedder", s, f.embedder, NULL, "MODEL", \
	                   "makes the vectors (default: the mean of the model's own states)"), \
		OPT_STRING("fewshot-prompt", s, f.prompt, NULL, "FILE", \
	                   "exactly these bytes before each row, as --fewshot-out kept them")
#define IN_CONTEXT_OPTS(s, f, many) \
	IN_CONTEXT_TURN_OPTS(s, f, many), \
		OPT_STRING("fewshot-delimiter", s, f.delimiter, NULL, "TEXT", \
	                   "after each example as text (default: an empty line)"), \
		OPT_STRING("target-delimiter", s, f.target_delimiter, NULL, "TEXT", \
	                   "between an example's question and answer as text (default: a space)")

struct in_context {
	const struct in_context_options *o;
	struct app *app;
	struct loaded *model;
	bool chat, asks;
	struct rows examples;
	char **instructions;           /* [n_instructions] at least one, which may be NULL: none */
	size_t n_instructions;
	json_t *saved;                 /* --fewshot-prompt */
	bool has_embedder;
	struct loaded embedder;        /* --fewshot-embedder */
	struct text_vectors vectors;
	struct fewshot_embedder how;
	double began;                  /* to make vectors */
};

/* Is any of it wanted? */
bool in_context_wanted(const struct in_context_options *o);
/* NULL, or what of the options does not go together. */
const char *in_context_contradiction(const struct in_context_options *o);
/* Reads what the options name. model: open, with its tokenizer, and its template where one is wanted. chat, asks: see
 * fewshot_options. in_context_close in any case. */
int in_context_open(struct in_context *c, const struct in_context_options *o, struct app *app, struct loaded *model,
                    bool chat, bool asks, struct err *e);
/* By its i-th instruction; shuffle: see fewshot_options; examples: instead of those that were read, or NULL. */
int in_context_make(struct in_context *c, size_t instruction, uint64_t shuffle, const struct rows *examples,
                    struct fewshot **f, struct err *e);
/* Tokens that it adds to what a row asks, the mean of the first rows: plain ones, and as fewshot_apply made them. */
int in_context_price(const struct in_context *c, const struct rows *plain, const struct rows *made, double *tokens,
                     struct err *e);
/* For plans: what making vectors would take, as a phase of p, whose operations are known. */
void in_context_predict(const struct in_context *c, struct predicted *p);
void in_context_close(struct in_context *c);

/* A file's bytes where the text begins with @, else the text; mem_free. NULL and a sentence for what is no UTF-8. */
char *in_context_text(const char *option, const char *text, struct err *e);

#endif
