/* guarding: what commands do with a guard (guard/guard.h): the options, a text that is looked at, the log. */
#ifndef CMD_GUARDING_H
#define CMD_GUARDING_H

#include "base/opt.h"
#include "guard/guard.h"

struct guarding_options {
	const char *rules, *log;
	bool outputs, log_texts;
};
/* For commands that only take texts in. */
#define GUARD_OPTS(s, f) \
	OPT_STRING("guard", s, f.rules, NULL, "RULES", \
	           "texts are refused, redacted or flagged: builtin, or a file of rules"), \
	OPT_STRING("guard-log", s, f.log, NULL, "FILE", "a line for each text that it has something of, with hashes"), \
	OPT_FLAG("guard-log-texts", s, f.log_texts, "false", "the log has what was found, not its hash")
/* And of those that give some out. */
#define GUARD_OUTPUT_OPTS(s, f) \
	OPT_GROUP("Guard"), GUARD_OPTS(s, f), \
		OPT_FLAG("guard-outputs", s, f.outputs, "false", "answers are looked at too, before they are shown")

struct guarding {
	const struct guarding_options *o;
	struct guard *guard;           /* NULL: none was asked for */
	struct guard_scratch *scratch;
	size_t texts, flagged, redacted, refused;
};

/* Nothing where no guard is asked for; −1 also where an option goes with none. */
int guarding_open(struct guarding *x, const struct guarding_options *o, struct err *e);
/* What is found in a text is logged. `redacted` gets it, as it may go on, where it is to be another; else it stays
 * empty. −1 and a sentence with the place and the rule: it is refused. where: "the prompt", "rows.jsonl:3". */
int guarding_text(struct guarding *x, const char *where, const char *text, size_t n, struct buf *redacted,
                  struct err *e);
json_t *guarding_json(const struct guarding *x);   /* {texts, flagged, redacted, refused}; NULL where there is none */
void guarding_close(struct guarding *x);

#endif
