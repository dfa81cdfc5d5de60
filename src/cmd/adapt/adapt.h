/* adapt: what other commands know of `kungfu adapt`. */
#ifndef CMD_ADAPT_H
#define CMD_ADAPT_H

#include "cmd/command.h"

#define ADAPT_FILE "adapt.json"

/* Is this the folder of such a run? */
bool adapt_is(const char *dir);
/* Goes on where it was, with the same choices; the exit status, or −1 and a sentence. data: a file of more rows, with
 * which it goes on from what is known, or NULL. */
int adapt_resume(struct app *app, const struct common *common, const char *dir, const char *data, struct err *e);

/* What ways that learnt from fewer rows came to: points of a learning curve; −1 and a sentence: none was measured. */
struct curve_point;
int adapt_curve(const char *dir, struct curve_point *p, size_t most, size_t *n, bool *no_floor, struct err *e);

/* What a folder that it left is, new; NULL and a sentence. And for eyes. */
json_t *adapt_facts(const char *dir, struct err *e);
void adapt_facts_show(const json_t *facts);

/* Did it leave two ways, one after the other? Rows judged by them, for `kungfu eval`. */
bool cascade_is(const char *path);
struct rows;
struct cascade_eval {
	const char *path;
	const struct rows *rows;
	const char *compute;
	int32_t micro_batch_tokens;
	bool apply_chat_template;
};
int cascade_eval(struct app *app, const struct cascade_eval *o, struct err *e);

#endif
