/* guarding: what commands do with a guard (guard/guard.h): the options, a text that is looked at, the log. */
#ifndef CMD_GUARDING_H
#define CMD_GUARDING_H

#include <pthread.h>

#include "base/opt.h"
#include "cmd/guard_models.h"
#include "data/rows.h"
#include "guard/guard.h"
#include "infer/generate.h"

struct guarding_options {
	const char *rules, *log;
	bool outputs, log_texts;
	struct guard_models_options models;
};
/* For commands that only take texts in. */
#define GUARD_OPTS(s, f) \
	OPT_STRING("guard", s, f.rules, NULL, "RULES", \
	           "texts are refused, redacted or flagged: builtin, or a file of rules"), \
	OPT_STRING("guard-log", s, f.log, NULL, "FILE", "a line for each text that it has something of, with hashes"), \
	OPT_FLAG("guard-log-texts", s, f.log_texts, "false", "the log has what was found, not its hash"), \
	GUARD_CLASSIFIER_OPTS("guard-", s, f.models)
/* And of those that give some out. */
#define GUARD_OUTPUT_OPTS(s, f) \
	OPT_GROUP("Guard"), GUARD_OPTS(s, f), \
		OPT_FLAG("guard-outputs", s, f.outputs, "false", "answers are looked at too, before they are shown")

struct guarding {
	const struct guarding_options *o;
	struct guard *guard;           /* NULL: none was asked for */
	struct guard_scratch *scratch;
	struct guard_models *models;   /* or NULL */
	struct pool *pool;             /* of its own, or NULL */
	struct device device;          /* over it */
	pthread_mutex_t looking;       /* of the models */
	size_t texts, flagged, redacted, refused;
	pthread_mutex_t lock;          /* of the counts and the log */
};

/* Nothing where no guard is asked for; −1 also where an option goes with none. */
int guarding_open(struct guarding *x, struct app *app, const struct guarding_options *o, struct err *e);
/* The same for who looks in other threads than those that app's device is used in: models compute on a thread of their
 * own, one text after the other. */
int guarding_open_beside(struct guarding *x, struct app *app, const struct guarding_options *o, struct err *e);
/* What is found in a text is logged. `redacted` gets it, as it may go on, where it is to be another; else it stays
 * empty. −1 and "WHERE: refused by the guard: RULE at …". where: "the prompt", "rows.jsonl:3". */
int guarding_text(struct guarding *x, const char *where, const char *text, size_t n, struct buf *redacted,
                  struct err *e);
/* The same of every text in rows, which are changed. A row that is refused is an error, or one of `bad` where that is
 * there. */
int guarding_rows(struct guarding *x, const struct rows *r, struct findings *bad, struct err *e);
/* An answer, with --guard-outputs: it has no text (FINISH_FILTER) or another one; its ids go then. */
int guarding_answer(struct guarding *x, const char *where, struct generation *g, struct err *e);
/* Of who looks himself (the server), in any thread: what models find is added, a refusal where they cannot say; what
 * was found is told. */
void guarding_more(void *guarding, const char *text, size_t n, struct guard_result *r);
void guarding_told(void *guarding, const char *where, const char *text, const struct guard_result *r);
json_t *guarding_json(const struct guarding *x);   /* {texts, flagged, redacted, refused}; NULL where there is none */
void guarding_close(struct guarding *x);

#endif
