/* space: which options a search varies, and over which values. It is read from YAML:
 *
 *     method: [lora, ia3, full]                              a list: one of these
 *     lora_r: {min: 2, max: 64, log: true}                   a range, uniform, or uniform in the logarithm
 *     learning_rate: {min: 0.1, max: 10, log: true, scale: method}
 *                                                            times the rate that the method has when nobody says one
 *     target_modules: {choices: [all-linear, [q_proj, v_proj]], when: {method: lora}}
 *                                                            only where the condition holds
 *     seed: 7                                                always this
 *
 * Names are a recipe's, `_` or `-`. A parameter is used in a trial (active) where its conditions hold and what the
 * trial picks (method, objective, optimizer) has the option at all: lora_r needs no condition to be left out of a
 * trial of ia3. A list inside a list is one value, joined by commas. Ranges of options that are whole numbers are of
 * whole numbers, both ends included.
 *
 * A point is a place of each parameter: of a range a number u in [0, 1), of a list the index of a value. */
#ifndef SEARCH_SPACE_H
#define SEARCH_SPACE_H

#include "base/opt.h"

struct space_condition {
	const char *name;              /* an option */
	const char **values;           /* [n] one of these */
	size_t n;
};

struct space_param {
	const char *name;              /* as the table of options has it */
	bool range, log, integer, scaled;
	double min, max;               /* of a range */
	const char **values;           /* of a list: [n], as on the command line */
	size_t n;
	struct space_condition *when;
	size_t n_when;
};

struct space {
	struct arena mem;
	struct space_param *param;     /* those that others may depend on first */
	size_t n;
};

struct space_place {
	bool active;
	double u;                      /* of a range, in [0, 1) */
	int choice;                    /* of a list */
};

/* scratch: a parse of the table of options, into which every value is tried. `fixed`: names that may not vary, until
 * NULL. −1: one sentence with the line. To be released either way. */
int space_read(struct space *s, const char *text, size_t n, const char *where, struct opt_parse *scratch,
               const char *const *fixed, struct err *e);
void space_release(struct space *s);
/* NULL: it does not vary. */
const struct space_param *space_find(const struct space *s, const char *name);

/* Is parameter i active, where `p` holds what the trial has so far (its own parameters before i, the options given)? */
bool space_is_active(const struct space *s, size_t i, const struct opt_parse *p);
/* The number at a place; `scale`: of a scaled one. The number is rounded to four digits, as it is written. */
double space_number(const struct space_param *p, double u, double scale);
/* As text for an option, "0.0003"; out has room for it, or it is the list's own. */
const char *space_text(const struct space_param *p, const struct space_place *at, double scale, char out[32]);

#endif
