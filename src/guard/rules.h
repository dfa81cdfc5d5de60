/* rules: what a file of rules says, ready to be looked for. */
#ifndef GUARD_RULES_H
#define GUARD_RULES_H

#include "base/arena.h"
#include "guard/checks.h"
#include "guard/fold.h"
#include "guard/guard.h"
#include "guard/regex.h"

enum { NEAR_MOST = 16 };

struct rule {
	const char *id;
	enum guard_verdict verdict;
	const char *pattern;
	bool folded, hidden;             /* over folded texts; only in what was undone */
	const struct check *check;       /* or NULL */
	const char *near[NEAR_MOST];     /* [n_near] */
	size_t n_near;
	size_t line;
	const char *where;               /* the file */
};

/* Over folded and over clean texts; the latter two in what was undone alone. */
enum { RULES_FOLDED, RULES_CLEAN, RULES_HIDDEN_FOLDED, RULES_HIDDEN_CLEAN, RULE_SETS };

struct guard {
	struct arena mem;
	struct rule *rules;              /* [n] */
	size_t n, cap;
	enum guard_verdict encoded, signs[SIGNS];
	const char **encoding_rule;      /* of encoding_table: "encoding.base64" … */
	const char *sign_rule[SIGNS];
	/* The expressions of each kind; rule_of[number] is the rule. */
	struct regex_set *set[RULE_SETS];
	size_t *rule_of[RULE_SETS], n_set[RULE_SETS];
};

#endif
