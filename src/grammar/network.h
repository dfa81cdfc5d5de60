/* network: rules as automata over bytes that call each other. Expressions (an arena's) are built by gbnf.c, compiled
 * here; what a machine walks over is a network. */
#ifndef GRAMMAR_NETWORK_H
#define GRAMMAR_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "grammar/chars.h"

enum expr_kind { EXPR_BYTES, EXPR_CHARS, EXPR_SEQUENCE, EXPR_CHOICE, EXPR_REPEAT, EXPR_RULE, EXPR_ONLY };
#define REPEAT_FOREVER UINT32_MAX

struct expr {
	enum expr_kind kind;
	size_t n;    /* of bytes, ranges (ascending, apart) or items */
	size_t size; /* nodes that it takes, about */
	union {
		const char *bytes;
		const struct char_range *range;
		struct expr **item; /* [n]; of a repeat one */
		uint32_t rule;
	} u;
	uint32_t least, most; /* of a repeat */
};

/* What a rule is. */
struct rule {
	const char *name;
	const struct expr *is;
};

enum edge_kind { EDGE_BYTES, EDGE_NOTHING, EDGE_CALL, EDGE_ONLY /* nothing, and no other way goes on */ };

struct edge {
	uint32_t to;   /* after a call: where it comes back to */
	uint32_t rule; /* that is called */
	uint8_t kind, lo, hi;
	bool tail; /* a call behind which the rule ends: nothing is to be come back to */
};

struct node {
	uint32_t first, n; /* edges */
	uint16_t need;     /* frames that are needed above it to end its rule; NEVER: it cannot */
	bool end;          /* of its rule */
	bool only;         /* behind an EDGE_ONLY, which alone leads to it */
};
#define NEVER UINT16_MAX

struct network {
	struct node *node;
	struct edge *edge;
	uint32_t *start; /* [n_rules] of node */
	size_t n_nodes, n_edges, n_rules;
	uint8_t class_of[256]; /* bytes that no edge tells apart have one class */
	uint8_t byte_of[256];  /* one of each class */
	unsigned classes;
};

/* Rule 0 is the whole. Refuses what is too large, begins with itself or never ends. */
int network_build(struct network *w, const struct rule *rules, size_t n_rules, struct err *e);
void network_release(struct network *w);

#endif
