/* network: expressions as automata (Thompson 1968), each rule's with one beginning and one end, and what of every node
 * is known before any text: how many frames its way to the end takes.
 *
 *     need(n) = the least over its edges of    0                                        n is the end
 *                                              need(to)                                 bytes, nothing, only
 *                                              need(start of rule)                      a call behind which the rule
 * ends max(need(to), 1 + need(start of rule))   a call
 *
 * by Knuth's generalization of Dijkstra's algorithm (1977): nodes are settled in ascending order. Characters are the
 * ranges of their bytes in UTF-8. See network.h. */
#include "grammar/network.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/grammar.h"

enum { WORTH_A_RULE = 4 /* nodes of what is repeated, and how often, from where on it is a rule of its own */ };

struct raw_edge {
	uint32_t from;
	struct edge edge;
};

struct building {
	struct network *w;
	struct raw_edge *edge;
	size_t cap_edges;
	size_t n_nodes, cap_rules;
	const struct expr **rule; /* [n_rules] those of the text, then what is repeated */
	uint32_t *end;            /* [n_rules] of node */
	bool full;
};

static uint32_t new_node(struct building *b)
{
	if (b->n_nodes >= GRAMMAR_NODES) {
		b->full = true;
		return 0;
	}
	return (uint32_t)b->n_nodes++;
}

static void add_edge(struct building *b, uint32_t from, struct edge edge)
{
	struct network *w = b->w;

	if (b->full || w->n_edges >= 4 * (size_t)GRAMMAR_NODES) {
		b->full = true;
		return;
	}
	if (w->n_edges == b->cap_edges) {
		b->cap_edges = MAX(256, 2 * b->cap_edges);
		b->edge = mem_grow(b->edge, b->cap_edges, sizeof(*b->edge));
	}
	b->edge[w->n_edges++] = (struct raw_edge){ from, edge };
}

static void add_bytes(struct building *b, uint32_t from, uint32_t to, uint8_t lo, uint8_t hi)
{
	add_edge(b, from, (struct edge){ .kind = EDGE_BYTES, .lo = lo, .hi = hi, .to = to });
}

static void add_nothing(struct building *b, uint32_t from, uint32_t to)
{
	add_edge(b, from, (struct edge){ .kind = EDGE_NOTHING, .to = to });
}

static void add_call(struct building *b, uint32_t from, uint32_t to, uint32_t rule)
{
	add_edge(b, from, (struct edge){ .kind = EDGE_CALL, .rule = rule, .to = to });
}

/* `to` by a node that nothing else leads to. */
static void add_only(struct building *b, uint32_t from, uint32_t to)
{
	uint32_t here = new_node(b);

	add_edge(b, from, (struct edge){ .kind = EDGE_ONLY, .to = here });
	add_nothing(b, here, to);
}

static uint32_t new_rule(struct building *b, const struct expr *is)
{
	struct network *w = b->w;

	if (w->n_rules == b->cap_rules) {
		b->cap_rules = MAX(64, 2 * b->cap_rules);
		b->rule = mem_grow(b->rule, b->cap_rules, sizeof(const struct expr *));
		b->end = mem_grow(b->end, b->cap_rules, sizeof(*b->end));
		w->start = mem_grow(w->start, b->cap_rules, sizeof(*w->start));
	}
	b->rule[w->n_rules] = is;
	w->start[w->n_rules] = new_node(b);
	b->end[w->n_rules] = new_node(b);
	return (uint32_t)w->n_rules++;
}

/* --- characters --- */

/* Characters of so many bytes, all of whose bytes behind the first that differs are free. */
static void add_same_length(struct building *b, uint32_t from, uint32_t to, const char *lo, const char *hi, size_t n)
{
	for (; n > 1; n--, lo++, hi++) {
		uint32_t next = new_node(b);
		add_bytes(b, from, next, (uint8_t)*lo, (uint8_t)*hi);
		from = next;
	}
	add_bytes(b, from, to, (uint8_t)*lo, (uint8_t)*hi);
}

/* Splits until a range is one of bytes at each place: as far as the ends are not round in the bits that follow. */
static void add_range(struct building *b, uint32_t from, uint32_t to, uint32_t lo, uint32_t hi)
{
	static const uint32_t lengths[] = { 0x7f, 0x7ff, 0xffff, 0x10ffff };
	char first[4], last[4];

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		if (lo <= lengths[i] && hi > lengths[i]) {
			add_range(b, from, to, lo, lengths[i]);
			lo = lengths[i] + 1;
		}
	if (hi < 0x80) {
		add_bytes(b, from, to, (uint8_t)lo, (uint8_t)hi);
		return;
	}
	for (unsigned bits = 6; bits <= 18; bits += 6) {
		uint32_t rest = (1U << bits) - 1;
		if ((lo & ~rest) == (hi & ~rest))
			continue;
		if (lo & rest) {
			add_range(b, from, to, lo, lo | rest);
			add_range(b, from, to, (lo | rest) + 1, hi);
			return;
		}
		if ((hi & rest) != rest) {
			add_range(b, from, to, lo, (hi & ~rest) - 1);
			add_range(b, from, to, hi & ~rest, hi);
			return;
		}
	}
	size_t n = utf8_encode(lo, first);
	if (utf8_encode(hi, last) != n)
		BUG("a range of characters of two lengths");
	add_same_length(b, from, to, first, last, n);
}

static void add_chars(struct building *b, uint32_t from, uint32_t to, const struct expr *x)
{
	for (size_t i = 0; i < x->n; i++) {
		uint32_t lo = x->u.range[i].lo, hi = x->u.range[i].hi;
		if (lo < 0xd800) /* no surrogates */
			add_range(b, from, to, lo, MIN(hi, 0xd7ff));
		if (hi > 0xdfff)
			add_range(b, from, to, MAX(lo, 0xe000), hi);
	}
}

/* --- expressions --- */

static void add_expr(struct building *b, uint32_t from, uint32_t to, const struct expr *x);

static void add_string(struct building *b, uint32_t from, uint32_t to, const struct expr *x)
{
	for (size_t i = 0; i < x->n; i++) {
		uint32_t next = i + 1 == x->n ? to : new_node(b);
		add_bytes(b, from, next, (uint8_t)x->u.bytes[i], (uint8_t)x->u.bytes[i]);
		from = next;
	}
	if (!x->n)
		add_nothing(b, from, to);
}

static void add_sequence(struct building *b, uint32_t from, uint32_t to, const struct expr *x)
{
	for (size_t i = 0; i < x->n && !b->full; i++) {
		uint32_t next = i + 1 == x->n ? to : new_node(b);
		add_expr(b, from, next, x->u.item[i]);
		from = next;
	}
	if (!x->n)
		add_nothing(b, from, to);
}

/* What is large is built once and called. */
static void add_repeat(struct building *b, uint32_t from, uint32_t to, const struct expr *x)
{
	const struct expr *what = x->u.item[0];
	struct expr call = { .kind = EXPR_RULE };
	size_t copies = x->most == REPEAT_FOREVER ? (size_t)x->least + 1 : x->most;

	if (what->size >= WORTH_A_RULE && copies >= WORTH_A_RULE) {
		call.u.rule = new_rule(b, what);
		what = &call;
	}
	for (uint32_t i = 0; i < x->least && !b->full; i++) {
		uint32_t next = new_node(b);
		add_expr(b, from, next, what);
		from = next;
	}
	if (x->most == REPEAT_FOREVER) {
		uint32_t again = new_node(b);
		add_nothing(b, from, again);
		add_expr(b, again, again, what);
		from = again;
	}
	for (uint32_t i = x->least; x->most != REPEAT_FOREVER && i < x->most && !b->full; i++) {
		uint32_t next = new_node(b);
		add_nothing(b, from, to);
		add_expr(b, from, next, what);
		from = next;
	}
	add_nothing(b, from, to);
}

static void add_expr(struct building *b, uint32_t from, uint32_t to, const struct expr *x)
{
	if (b->full)
		return;
	switch (x->kind) {
	case EXPR_BYTES: add_string(b, from, to, x); break;
	case EXPR_CHARS: add_chars(b, from, to, x); break;
	case EXPR_SEQUENCE: add_sequence(b, from, to, x); break;
	case EXPR_REPEAT: add_repeat(b, from, to, x); break;
	case EXPR_RULE: add_call(b, from, to, x->u.rule); break;
	case EXPR_ONLY: add_only(b, from, to); break;
	case EXPR_CHOICE:
		for (size_t i = 0; i < x->n; i++)
			add_expr(b, from, to, x->u.item[i]);
	}
}

/* --- edges by node --- */

static void sort_edges(struct building *b)
{
	struct network *w = b->w;
	uint32_t at = 0;

	w->n_nodes = b->n_nodes;
	w->node = mem_array(w->n_nodes, sizeof(*w->node));
	w->edge = mem_array(w->n_edges + 1, sizeof(*w->edge));
	for (size_t i = 0; i < w->n_rules; i++)
		w->node[b->end[i]].end = true;
	for (size_t i = 0; i < w->n_edges; i++)
		w->node[b->edge[i].from].n++;
	for (size_t i = 0; i < w->n_nodes; i++) {
		w->node[i].first = at;
		at += w->node[i].n;
		w->node[i].n = 0;
	}
	for (size_t i = 0; i < w->n_edges; i++) {
		struct node *n = &w->node[b->edge[i].from];
		struct edge *x = &w->edge[n->first + n->n++];
		*x = b->edge[i].edge;
		x->tail = x->kind == EDGE_CALL && w->node[x->to].end;
		w->node[x->to].only |= x->kind == EDGE_ONLY;
	}
}

/* Bytes between which no edge begins or ends. */
static void make_classes(struct network *w)
{
	bool begins[257] = { [0] = true };
	unsigned class = 0;

	for (size_t i = 0; i < w->n_edges; i++)
		if (w->edge[i].kind == EDGE_BYTES)
			begins[w->edge[i].lo] = begins[w->edge[i].hi + 1] = true;
	for (unsigned c = 0; c < 256; c++) {
		if (begins[c] && c)
			class ++;
		w->class_of[c] = (uint8_t) class;
		w->byte_of[class] = (uint8_t)c;
	}
	w->classes = class + 1;
}

/* --- what a node needs --- */

/* Who leads to a node: edges by what they lead to, and calls by the rule's beginning. */
struct before {
	uint32_t *first, *from, *edge;
};

static void count_before(const struct network *w, struct before *p, uint32_t from, uint32_t edge, bool fill)
{
	const struct edge *x = &w->edge[edge];
	uint32_t to[2] = { x->to, x->kind == EDGE_CALL ? w->start[x->rule] : 0 };

	for (int k = 0; k < (x->kind == EDGE_CALL ? 2 : 1); k++) {
		uint32_t at = p->first[to[k]]++;
		if (!fill)
			continue;
		p->from[at] = from;
		p->edge[at] = edge;
	}
}

static void all_before(const struct network *w, struct before *p, bool fill)
{
	for (uint32_t n = 0; n < w->n_nodes; n++)
		for (uint32_t i = 0; i < w->node[n].n; i++)
			count_before(w, p, n, w->node[n].first + i, fill);
}

static void find_before(const struct network *w, struct before *p)
{
	uint32_t at = 0;

	p->first = mem_array(w->n_nodes + 2, sizeof(*p->first));
	p->from = mem_array(2 * w->n_edges + 1, sizeof(*p->from));
	p->edge = mem_array(2 * w->n_edges + 1, sizeof(*p->edge));
	all_before(w, p, false);
	for (size_t n = 0; n <= w->n_nodes; n++) {
		uint32_t count = p->first[n];
		p->first[n] = at;
		at += count;
	}
	all_before(w, p, true);
	memmove(p->first + 1, p->first, (w->n_nodes + 1) * sizeof(*p->first));
	p->first[0] = 0;
}

static void release_before(struct before *p)
{
	mem_free(p->first);
	mem_free(p->from);
	mem_free(p->edge);
}

/* What an edge makes of what is settled; NEVER: not all of it is. */
static unsigned need_of(const struct network *w, const struct edge *x)
{
	unsigned to = w->node[x->to].need, called = x->kind == EDGE_CALL ? w->node[w->start[x->rule]].need : 0;

	if (x->kind == EDGE_CALL && x->tail)
		return called;
	if (to == NEVER || called == NEVER)
		return NEVER;
	return x->kind == EDGE_CALL ? MAX(to, called + 1) : to;
}

/* Nodes of one level, and those that wait for a later one. */
struct level {
	uint32_t *node;
	size_t n, cap;
};

static void put(struct level *l, uint32_t node)
{
	if (l->n == l->cap) {
		l->cap = MAX(64, 2 * l->cap);
		l->node = mem_grow(l->node, l->cap, sizeof(*l->node));
	}
	l->node[l->n++] = node;
}

static void settle(struct network *w)
{
	struct before p;
	struct level *levels = mem_array(GRAMMAR_DEPTH + 1, sizeof(*levels));

	find_before(w, &p);
	for (uint32_t n = 0; n < w->n_nodes; n++) {
		w->node[n].need = NEVER;
		if (w->node[n].end)
			put(&levels[0], n);
	}
	for (unsigned k = 0; k <= GRAMMAR_DEPTH; k++) {
		for (size_t i = 0; i < levels[k].n; i++) {
			uint32_t n = levels[k].node[i];
			if (w->node[n].need != NEVER)
				continue;
			w->node[n].need = (uint16_t)k;
			for (uint32_t at = p.first[n]; at < p.first[n + 1]; at++) {
				unsigned need = need_of(w, &w->edge[p.edge[at]]);
				if (need <= GRAMMAR_DEPTH && w->node[p.from[at]].need == NEVER)
					put(&levels[need], p.from[at]);
			}
		}
		mem_free(levels[k].node);
	}
	mem_free(levels);
	release_before(&p);
}

/* --- rules that begin with themselves --- */

static bool is_nothing(const struct edge *x) { return x->kind == EDGE_NOTHING || x->kind == EDGE_ONLY; }

/* Which nodes reach the end of their rule without a byte. */
static void find_empty(const struct network *w, bool *empty)
{
	struct level todo = { 0 };
	struct before p;

	find_before(w, &p);
	for (uint32_t n = 0; n < w->n_nodes; n++)
		if (w->node[n].end)
			put(&todo, n);
	while (todo.n) {
		uint32_t n = todo.node[--todo.n];
		if (empty[n])
			continue;
		empty[n] = true;
		for (uint32_t at = p.first[n]; at < p.first[n + 1]; at++) {
			const struct edge *x = &w->edge[p.edge[at]];
			if (is_nothing(x) || (x->kind == EDGE_CALL && empty[x->to] && empty[w->start[x->rule]]))
				put(&todo, p.from[at]);
		}
	}
	mem_free(todo.node);
	release_before(&p);
}

/* The rules that are called before any byte, from a node on; `seen` has the nodes of this rule. */
static void first_calls(const struct network *w, const bool *empty, uint32_t start, uint32_t *seen, uint32_t mark,
                        struct level *calls)
{
	struct level todo = { 0 };

	put(&todo, start);
	while (todo.n) {
		uint32_t n = todo.node[--todo.n];
		if (seen[n] == mark)
			continue;
		seen[n] = mark;
		for (uint32_t i = 0; i < w->node[n].n; i++) {
			const struct edge *x = &w->edge[w->node[n].first + i];
			if (x->kind == EDGE_CALL)
				put(calls, x->rule);
			if (is_nothing(x) || (x->kind == EDGE_CALL && empty[w->start[x->rule]]))
				put(&todo, x->to);
		}
	}
	mem_free(todo.node);
}

/* Takes away rules that begin with none that is left; true: all go. */
static bool peel(const struct level *calls, size_t n, uint32_t *stuck)
{
	uint32_t *open = mem_array(n, sizeof(*open));
	struct level *callers = mem_array(n, sizeof(*callers)), todo = { 0 };
	size_t gone = 0;

	for (uint32_t r = 0; r < n; r++) {
		open[r] = (uint32_t)calls[r].n;
		for (size_t i = 0; i < calls[r].n; i++)
			put(&callers[calls[r].node[i]], r);
		if (!open[r])
			put(&todo, r);
	}
	for (; todo.n; gone++) {
		uint32_t r = todo.node[--todo.n];
		for (size_t i = 0; i < callers[r].n; i++)
			if (--open[callers[r].node[i]] == 0)
				put(&todo, callers[r].node[i]);
	}
	for (uint32_t r = 0; r < n; r++) {
		if (open[r])
			*stuck = r;
		mem_free(callers[r].node);
	}
	mem_free(callers);
	mem_free(todo.node);
	mem_free(open);
	return gone == n;
}

static bool begins_with_itself(const struct network *w, uint32_t *rule)
{
	bool *empty = mem_array(w->n_nodes, sizeof(*empty));
	uint32_t *seen = mem_array(w->n_nodes, sizeof(*seen));
	struct level *calls = mem_array(w->n_rules, sizeof(*calls));

	find_empty(w, empty);
	for (uint32_t r = 0; r < w->n_rules; r++)
		first_calls(w, empty, w->start[r], seen, r + 1, &calls[r]);
	bool does = !peel(calls, w->n_rules, rule);
	for (size_t r = 0; r < w->n_rules; r++)
		mem_free(calls[r].node);
	mem_free(calls);
	mem_free(seen);
	mem_free(empty);
	return does;
}

/* --- all of it --- */

int network_build(struct network *w, const struct rule *rules, size_t n_rules, struct err *e)
{
	struct building b = { .w = w };
	uint32_t rule = 0;
	int status = 0;

	*w = (struct network){ 0 };
	for (size_t i = 0; i < n_rules; i++)
		new_rule(&b, rules[i].is);
	for (size_t i = 0; i < w->n_rules && !b.full; i++)
		add_expr(&b, w->start[i], b.end[i], b.rule[i]);
	if (b.full) {
		status = err_set(e, "the grammar is too large: more than %d places", GRAMMAR_NODES);
	} else {
		sort_edges(&b);
		make_classes(w);
		settle(w);
		if (begins_with_itself(w, &rule))
			status = err_set(e, "the rule %s begins with itself (left recursion), or with one that does",
			                 rule < n_rules ? rules[rule].name : "of a repeated part");
		else if (w->node[w->start[0]].need == NEVER)
			status = err_set(e, "no text is of this grammar: it never ends, or nests deeper than %d",
			                 GRAMMAR_DEPTH);
	}
	mem_free(b.edge);
	mem_free(b.rule);
	mem_free(b.end);
	if (status < 0)
		network_release(w);
	return status;
}

void network_release(struct network *w)
{
	mem_free(w->node);
	mem_free(w->edge);
	mem_free(w->start);
	*w = (struct network){ 0 };
}
