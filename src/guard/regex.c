/* regex: programs run as automata that are made as they are needed.
 *
 * A state is the steps to go on at and what kind of character stands behind; a move looks at the next character, so
 * that assertions know both sides, and tells whether a match ends before it. A state's moves are computed once and
 * kept; when more than STATES are kept, all are forgotten.
 *
 * Of a set those expressions alone are looked for that a text has what they need for (regex_filter.h), each by itself:
 * a state of several together is where all of them are at once, of which there are more than are kept. A move is known
 * when the one before it is, which is what such a pass waits for, so LANES automata go over a text beside each other.
 *
 * A match is found in three passes, each linear: forward from anywhere to the first place where one ends; back from
 * there to the leftmost place where one that ends there begins; forward again to the longest end. */
#include "guard/regex.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "guard/regex_filter.h"

enum { STATES = 8192, STATES_FIRST = 32, NUMBERS_MOST = 1 << 22, SLOTS = 4 /* a state */ };
enum { LANES = 4, SORT_FEW = 24 };
enum kind { KIND_NONE, KIND_WORD, KIND_OTHER, KIND_LINE, KINDS };

#define NO_MOVE 0xFFFF
#define ENDS 0x8000 /* a match ends before the character */
#define DEAD 0x4000 /* none can end behind it */
#define TO 0x3FFF   /* the state that it goes to */

struct expression {
	struct program forward, backward;
};

struct regex_set {
	struct arena mem;
	struct expression *one;        /* [n] */
	struct need *need;             /* [n] */
	size_t n;
};

/* --- automata --- */

struct state {
	uint32_t from, hash;
	uint16_t n;
	uint8_t behind; /* enum kind */
}; /* its steps: numbers[from .. from + n) */

struct automaton {
	const struct program *p;
	bool anywhere; /* a match may begin at any place */
	struct state *state; /* [n] */
	size_t n, cap;
	uint16_t *move; /* [cap][width] the next state, ENDS, DEAD; or NO_MOVE */
	uint32_t width; /* n_classes + 1 */
	uint16_t *numbers;
	size_t n_numbers, cap_numbers;
	uint16_t *slot;                 /* [SLOTS * cap] 0, or 1 + a state */
	uint16_t *list, *stack, *reach; /* [p->n] */
	uint16_t *seen, mark;           /* [p->n] the mark of what has seen it last */
	uint16_t *highest;              /* [p->n] of a ladder's place, where it was seen */
	uint32_t begin[KINDS];          /* 0, or 1 + the state that one begins in */
};

static struct automaton *automaton_new(const struct program *p, bool anywhere)
{
	struct automaton *a = mem_alloc(sizeof(*a));

	a->p = p;
	a->anywhere = anywhere;
	a->width = (uint32_t)p->n_classes + 1;
	a->list = mem_array(p->n + 1, sizeof(*a->list));
	a->stack = mem_array(2 * p->n + 2, sizeof(*a->stack));
	a->reach = mem_array(p->n + 1, sizeof(*a->reach));
	a->seen = mem_array(p->n + 1, sizeof(*a->seen));
	a->highest = mem_array(p->n + 1, sizeof(*a->highest));
	return a;
}

static void automaton_free(struct automaton *a)
{
	if (!a)
		return;
	mem_free(a->state);
	mem_free(a->move);
	mem_free(a->slot);
	mem_free(a->numbers);
	mem_free(a->list);
	mem_free(a->stack);
	mem_free(a->reach);
	mem_free(a->seen);
	mem_free(a->highest);
	mem_free(a);
}

static void forget(struct automaton *a)
{
	a->n = a->n_numbers = 0;
	memset(a->begin, 0, sizeof(a->begin));
	memset(a->slot, 0, SLOTS * a->cap * sizeof(*a->slot));
}

/* The first free slot of a hash. */
static size_t free_slot(const struct automaton *a, uint32_t hash)
{
	size_t last = SLOTS * a->cap - 1, slot = hash & last;

	while (a->slot[slot])
		slot = (slot + 1) & last;
	return slot;
}

static void make_room(struct automaton *a)
{
	a->cap = MAX((size_t)STATES_FIRST, 4 * a->cap);
	a->state = mem_grow(a->state, a->cap, sizeof(*a->state));
	a->move = mem_grow(a->move, a->cap * a->width, sizeof(*a->move));
	mem_free(a->slot);
	a->slot = mem_array(SLOTS * a->cap, sizeof(*a->slot));
	for (size_t i = 0; i < a->n; i++)
		a->slot[free_slot(a, a->state[i].hash)] = (uint16_t)(i + 1);
}

static size_t keep_numbers(struct automaton *a, const uint16_t *list, size_t n)
{
	size_t at = a->n_numbers;

	if (at + n > a->cap_numbers) {
		a->cap_numbers = MAX(2 * a->cap_numbers, at + n + 1024);
		a->numbers = mem_grow(a->numbers, a->cap_numbers, sizeof(*a->numbers));
	}
	if (n)
		memcpy(a->numbers + at, list, n * sizeof(*list));
	a->n_numbers += n;
	return at;
}

/* The state of these steps, in this order. */
static uint32_t state_of(struct automaton *a, const uint16_t *list, size_t n, enum kind behind)
{
	uint32_t h = (uint32_t)hash_64(list, n * sizeof(*list)) + (uint32_t)behind * 0x9E3779B9u;

	if (a->n == a->cap)
		make_room(a);
	size_t last = SLOTS * a->cap - 1, slot = h & last; /* cap is a power of two */
	for (; a->slot[slot]; slot = (slot + 1) & last) {
		const struct state *s = &a->state[a->slot[slot] - 1];
		if (s->hash == h && s->n == n && s->behind == behind &&
		    (!n || !memcmp(a->numbers + s->from, list, n * sizeof(*list))))
			return a->slot[slot] - 1;
	}
	a->state[a->n] = (struct state){ (uint32_t)keep_numbers(a, list, n), h, (uint16_t)n, (uint8_t)behind };
	memset(a->move + a->n * a->width, 0xFF, a->width * sizeof(*a->move));
	a->slot[slot] = (uint16_t)++a->n;
	return (uint32_t)a->n - 1;
}

static enum kind kind_of(int c)
{
	if (c < 0)
		return KIND_NONE;
	if (c == '\n')
		return KIND_LINE;
	return is_word_byte(c) ? KIND_WORD : KIND_OTHER;
}

static bool holds(enum assert_kind k, enum kind left, enum kind right)
{
	bool edge = (left == KIND_WORD) != (right == KIND_WORD);

	switch (k) {
	case ASSERT_LINE_BEGIN: return left == KIND_NONE || left == KIND_LINE;
	case ASSERT_LINE_END: return right == KIND_NONE || right == KIND_LINE;
	case ASSERT_WORD_EDGE: return edge;
	default: return !edge;
	}
}

static void new_mark(struct automaton *a)
{
	if (++a->mark)
		return;
	memset(a->seen, 0, a->p->n * sizeof(*a->seen));
	a->mark = 1;
}

/* The steps that are reached from `list` without a character; in a->reach, bytes and matches alone. */
static size_t close(struct automaton *a, const uint16_t *list, size_t n, enum kind behind, enum kind ahead)
{
	enum kind left = a->p->backward ? ahead : behind, right = a->p->backward ? behind : ahead;
	size_t top = 0, out = 0;

	new_mark(a);
	for (size_t i = n + a->anywhere; i > 0; i--) {
		a->stack[top++] = i > n ? a->p->begin : list[i - 1];
		while (top) {
			uint32_t k = a->stack[--top];
			const struct step *s = &a->p->step[k];
			if (a->seen[k] == a->mark)
				continue;
			a->seen[k] = a->mark;
			if (s->kind == STEP_SPLIT) {
				a->stack[top++] = s->other;
				a->stack[top++] = s->next;
			} else if (s->kind == STEP_ASSERT) {
				if (holds((enum assert_kind)s->other, left, right))
					a->stack[top++] = s->next;
			} else {
				a->reach[out++] = (uint16_t)k;
			}
		}
	}
	return out;
}

static int ascending(const void *a, const void *b)
{
	uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;

	return (x > y) - (x < y);
}

/* Nearly all are few, and nearly in order. */
static void sort(uint16_t *list, size_t n)
{
	if (n > SORT_FEW) {
		qsort(list, n, sizeof(*list), ascending);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		uint16_t x = list[i];
		size_t k = i;
		for (; k > 0 && list[k - 1] > x; k--)
			list[k] = list[k - 1];
		list[k] = x;
	}
}

/* The steps behind those reached that take c, in ascending order, of a ladder's rungs the highest; in a->list. */
static size_t step_on(struct automaton *a, size_t reached, uint8_t c)
{
	const struct program *p = a->p;
	size_t n = 0;

	new_mark(a);
	for (size_t i = 0; i < reached; i++) {
		const struct step *x = &p->step[a->reach[i]];
		if (x->kind != STEP_BYTE || !bytes_has(&p->set[x->other], c))
			continue;
		uint16_t place = p->step[x->next].rung_of;
		if (a->seen[place] == a->mark) {
			a->highest[place] = MAX(a->highest[place], x->next);
			continue;
		}
		a->seen[place] = a->mark;
		a->highest[place] = x->next;
		a->list[n++] = place;
	}
	for (size_t i = 0; i < n; i++)
		a->list[i] = a->highest[a->list[i]];
	sort(a->list, n);
	return n;
}

static uint16_t *move_at(const struct automaton *a, size_t state, int class)
{
	return &a->move[state * a->width + (size_t) class];
}

/* Computes a move; may forget all states: then *from is the same one again. */
static uint16_t make_move(struct automaton *a, uint32_t *from, int class, uint64_t *work)
{
	const struct program *p = a->p;
	int c = class == p->n_classes ? -1 : p->example[class];
	struct state s = a->state[*from];
	bool ends = false;

	if (a->n >= STATES - 1 || a->n_numbers > NUMBERS_MOST) {
		uint16_t *copy = mem_array(s.n + 1, sizeof(*copy));
		memcpy(copy, a->numbers + s.from, s.n * sizeof(*copy));
		forget(a);
		*from = state_of(a, copy, s.n, s.behind);
		s = a->state[*from];
		mem_free(copy);
	}
	size_t reached = close(a, s.n ? a->numbers + s.from : NULL, s.n, s.behind, kind_of(c));
	*work += reached + s.n + 1;
	for (size_t i = 0; i < reached; i++)
		ends |= p->step[a->reach[i]].kind == STEP_MATCH;
	size_t n = c < 0 ? 0 : step_on(a, reached, (uint8_t)c);
	uint32_t to = state_of(a, a->list, n, kind_of(c));
	uint16_t m = (uint16_t)(to | (ends ? ENDS : 0) | (n || a->anywhere ? 0 : DEAD));
	*move_at(a, *from, class) = m;
	return m;
}

static uint32_t start(struct automaton *a, enum kind behind)
{
	if (a->n >= STATES - 2)
		forget(a);
	if (!a->begin[behind])
		a->begin[behind] = 1 + state_of(a, &(uint16_t){ (uint16_t)a->p->begin }, !a->anywhere, behind);
	return a->begin[behind] - 1;
}

/* --- sets --- */

struct regex_set *regex_set_new(void) { return mem_alloc(sizeof(struct regex_set)); }

static void release(struct expression *x)
{
	program_release(&x->forward);
	program_release(&x->backward);
}

int regex_set_add(struct regex_set *s, const char *pattern, struct err *e)
{
	const struct tree *t = regex_parse(&s->mem, pattern, e);
	struct expression x = { .backward.backward = true };

	if (!t)
		return -1;
	if (regex_nullable(t))
		return err_set(e, "'%.80s' matches where nothing stands", pattern);
	if (program_make(&x.forward, t, e) < 0 || program_make(&x.backward, t, e) < 0) {
		release(&x);
		return -1;
	}
	s->one = mem_grow(s->one, s->n + 1, sizeof(*s->one));
	s->need = mem_grow(s->need, s->n + 1, sizeof(*s->need));
	s->one[s->n] = x;
	regex_need(&s->need[s->n++], &s->mem, t);
	return (int)s->n - 1;
}

void regex_set_beside(struct regex_set *s, int number, const char *const *words, size_t n)
{
	struct need *x = &s->need[number];
	const char **list = arena_array(&s->mem, n, sizeof(*list));

	memcpy(list, words, n * sizeof(*list));
	x->list[x->n++] = (struct strings){ list, n };
}

void regex_set_free(struct regex_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		release(&s->one[i]);
	mem_free(s->one);
	mem_free(s->need);
	arena_release(&s->mem);
	mem_free(s);
}

struct trio {
	struct automaton *first, *back, *longest;
};

struct regex_scratch {
	const struct regex_set *set;
	struct regex_filter *filter;
	struct trio *one; /* made when they are wanted */
	struct first *first; /* [n] of the text that was searched last */
};

#define NOWHERE SIZE_MAX

struct first {
	size_t at;         /* where one ends first, or NOWHERE */
	uint32_t state;    /* behind it, of the first automaton */
	size_t begin, end; /* the first match, once it is known that there is one */
};

struct regex_scratch *regex_scratch_new(const struct regex_set *s)
{
	struct regex_scratch *x = mem_alloc(sizeof(*x));

	x->set = s;
	x->filter = regex_filter_new(s->need, s->n);
	x->one = mem_array(s->n + 1, sizeof(*x->one));
	x->first = mem_array(s->n + 1, sizeof(*x->first));
	return x;
}

void regex_scratch_free(struct regex_scratch *x)
{
	if (!x)
		return;
	regex_filter_free(x->filter);
	for (size_t i = 0; i < x->set->n; i++) {
		automaton_free(x->one[i].first);
		automaton_free(x->one[i].back);
		automaton_free(x->one[i].longest);
	}
	mem_free(x->one);
	mem_free(x->first);
	mem_free(x);
}

/* The automata of an expression. */
static struct trio *trio_of(struct regex_scratch *x, int number)
{
	const struct expression *e = &x->set->one[number];
	struct trio *t = &x->one[number];

	if (!t->first) {
		t->first = automaton_new(&e->forward, true);
		t->back = automaton_new(&e->backward, false);
		t->longest = automaton_new(&e->forward, false);
	}
	return t;
}

/* The first place from *at on where a match ends; false: none does, or the work came to more than `most`. */
static bool first_end(struct automaton *a, uint32_t *state, const char *text, size_t n, size_t *at, uint64_t *work,
                      uint64_t most)
{
	const struct program *p = a->p;
	size_t now = *state, width = a->width;
	size_t i = *at;
	bool ends = false;

	for (; i <= n && !ends; i++) {
		const uint16_t *moves = a->move; /* making one may move them */
		uint16_t m = NO_MOVE;
		for (; i < n && (m = moves[now * width + p->class_of[(uint8_t)text[i]]]) < ENDS; i++)
			now = m; /* as nearly all do */
		int class = i < n ? p->class_of[(uint8_t)text[i]] : p->n_classes;
		m = *move_at(a, now, class);
		if (m == NO_MOVE) {
			if (*work > most)
				break;
			uint32_t from = (uint32_t)now;
			m = make_move(a, &from, class, work);
		}
		now = m & TO;
		ends = (m & ENDS) != 0;
	}
	*work += i - *at;
	*at = ends ? i - 1 : i;
	*state = (uint32_t)now;
	return ends;
}

/* The last place where a match ends, going from `from` towards `to` (which may lie before it); false: none does. */
static bool longest(struct automaton *a, const char *text, size_t n, size_t from, size_t to, size_t *end,
                    uint64_t *work)
{
	bool back = a->p->backward, some = false;
	size_t at = from, most = MIN((size_t)REGEX_MATCH_MAX, back ? from - to : to - from);
	int behind = back ? (from < n ? (uint8_t)text[from] : -1) : from ? (uint8_t)text[from - 1] : -1;
	uint32_t state = start(a, kind_of(behind));
	uint16_t m = 0;

	for (size_t i = 0; i <= most && !(m & DEAD); i++) {
		bool over = back ? at == 0 : at == n;
		int class = over ? a->p->n_classes : a->p->class_of[(uint8_t)text[back ? at - 1 : at]];
		m = *move_at(a, state, class);
		if (m == NO_MOVE)
			m = make_move(a, &state, class, work);
		if (m & ENDS) {
			*end = at;
			some = true;
		}
		if (over)
			break;
		at = back ? at - 1 : at + 1;
		state = m & TO;
		++*work;
	}
	return some;
}

static bool is_inside(char c) { return ((uint8_t)c & 0xC0) == 0x80; }

static void whole_characters(const char *text, size_t n, size_t *begin, size_t *end)
{
	for (int i = 0; i < 3 && *begin && is_inside(text[*begin]); i++)
		--*begin;
	for (int i = 0; i < 3 && *end < n && is_inside(text[*end]); i++)
		++*end;
}

/* The match that ends first of those that begin at `from` or later, at i, made as long as it can be; false: it is
 * longer than a match may be. */
static bool match_at(const struct trio *t, const char *text, size_t n, size_t from, size_t i, size_t *begin,
                     size_t *end, uint64_t *work)
{
	if (!longest(t->back, text, n, i, from, begin, work))
		return false;
	*end = i;
	longest(t->longest, text, n, *begin, n, end, work);
	whole_characters(text, n, begin, end);
	return true;
}

/* The first match of those that begin at `from` or later, where one ends at i first, `state` behind it. */
static bool settle(struct trio *t, const char *text, size_t n, size_t from, size_t i, uint32_t state, size_t *begin,
                   size_t *end, uint64_t *work, uint64_t most)
{
	do {
		if (match_at(t, text, n, from, i, begin, end, work))
			return *end > *begin;
		i++;
	} while (first_end(t->first, &state, text, n, &i, work, most));
	return false;
}

/* --- automata beside each other --- */

struct lanes {
	const uint8_t *class_of[LANES];
	const uint16_t *move[LANES];
	size_t width[LANES];
	uint32_t now[LANES];
	struct automaton *a[LANES]; /* NULL: nothing is looked for here (any more) */
	size_t number[LANES];
	size_t left;
};

/* Goes round in one state. */
static void lane_idle(struct lanes *l, int k)
{
	static const uint8_t class_of[256];
	static const uint16_t move[1];

	l->class_of[k] = class_of;
	l->move[k] = move;
	l->width[k] = 1;
	l->now[k] = 0;
	l->a[k] = NULL;
	l->left--;
}

/* A move that is to be made, or that ends a match, at i; the end of the text is class n_classes. */
static void lane_look(struct regex_scratch *x, struct lanes *l, int k, uint16_t m, int class, size_t i, uint64_t *work,
                      uint64_t most)
{
	struct automaton *a = l->a[k];

	if (m == NO_MOVE && *work <= most)
		m = make_move(a, &l->now[k], class, work);
	l->move[k] = a->move;
	l->now[k] = m & TO;
	if (m & ENDS) {
		x->first[l->number[k]].at = m == NO_MOVE ? NOWHERE : i;
		x->first[l->number[k]].state = m & TO;
		*work += i + 1;
		lane_idle(l, k);
	}
}

/* As far as all moves are known and none ends a match. States stay in registers: in an array each would wait for the
 * others. */
static size_t lanes_go(struct lanes *l, const char *text, size_t n, size_t i)
{
	const uint16_t *const m0 = l->move[0], *const m1 = l->move[1], *const m2 = l->move[2], *const m3 = l->move[3];
	const uint8_t *const c0 = l->class_of[0], *const c1 = l->class_of[1], *const c2 = l->class_of[2];
	const uint8_t *const c3 = l->class_of[3];
	const size_t w0 = l->width[0], w1 = l->width[1], w2 = l->width[2], w3 = l->width[3];
	size_t s0 = l->now[0], s1 = l->now[1], s2 = l->now[2], s3 = l->now[3];

	for (; i < n; i++) {
		uint8_t c = (uint8_t)text[i];
		uint16_t to0 = m0[s0 * w0 + c0[c]], to1 = m1[s1 * w1 + c1[c]];
		uint16_t to2 = m2[s2 * w2 + c2[c]], to3 = m3[s3 * w3 + c3[c]];
		if ((to0 | to1 | to2 | to3) >= ENDS)
			break;
		s0 = to0;
		s1 = to1;
		s2 = to2;
		s3 = to3;
	}
	l->now[0] = (uint32_t)s0;
	l->now[1] = (uint32_t)s1;
	l->now[2] = (uint32_t)s2;
	l->now[3] = (uint32_t)s3;
	return i;
}

/* The first place where a match of each ends, into x->first. */
static void lanes_look(struct regex_scratch *x, struct lanes *l, const char *text, size_t n, uint64_t *work,
                       uint64_t most)
{
	for (size_t i = 0; l->left && (i = lanes_go(l, text, n, i)) < n; i++) {
		for (int k = 0; k < LANES; k++) {
			int class = l->class_of[k][(uint8_t)text[i]];
			uint16_t m = l->move[k][l->now[k] * l->width[k] + (size_t) class];
			if (m < ENDS)
				l->now[k] = m;
			else
				lane_look(x, l, k, m, class, i, work, most);
		}
	}
	for (int k = 0; k < LANES; k++) {
		if (!l->a[k])
			continue;
		int class = l->a[k]->p->n_classes;
		lane_look(x, l, k, *move_at(l->a[k], l->now[k], class), class, n, work, most);
		*work += l->a[k] ? n + 1 : 0;
	}
}

/* n_few of them, at most LANES. */
static void search_few(struct regex_scratch *x, const size_t *few, size_t n_few, const char *text, size_t n,
                       uint64_t *work, uint64_t most)
{
	struct lanes l = { .left = LANES };

	if (n_few == 1) {
		struct automaton *a = trio_of(x, (int)few[0])->first;
		uint32_t state = start(a, KIND_NONE);
		size_t at = 0;
		bool ends = first_end(a, &state, text, n, &at, work, most);
		x->first[few[0]] = (struct first){ .at = ends ? at : NOWHERE, .state = state };
		return;
	}
	for (int k = 0; k < LANES; k++) {
		if (k >= (int)n_few) {
			lane_idle(&l, k);
			continue;
		}
		struct automaton *a = trio_of(x, (int)few[k])->first;
		x->first[few[k]].at = NOWHERE;
		l.number[k] = few[k];
		l.a[k] = a;
		l.now[k] = start(a, KIND_NONE);
		l.move[k] = a->move;
		l.width[k] = a->width;
		l.class_of[k] = a->p->class_of;
	}
	lanes_look(x, &l, text, n, work, most);
}

static bool first_match(struct regex_scratch *x, int number, const char *text, size_t n, uint64_t *work, uint64_t most)
{
	struct first *f = &x->first[number];

	return f->at != NOWHERE &&
	       settle(trio_of(x, number), text, n, 0, f->at, f->state, &f->begin, &f->end, work, most);
}

bool regex_set_search(struct regex_scratch *x, const char *text, size_t n, bool *found, uint64_t *work, uint64_t most)
{
	size_t few[LANES], n_few = 0;

	*work += n;
	regex_filter_look(x->filter, text, n, found);
	for (size_t k = 0; k <= x->set->n; k++) {
		if (k < x->set->n && found[k])
			few[n_few++] = k;
		if (n_few == LANES || (k == x->set->n && n_few)) {
			search_few(x, few, n_few, text, n, work, most);
			for (size_t i = 0; i < n_few; i++)
				found[few[i]] = *work <= most && first_match(x, (int)few[i], text, n, work, most);
			n_few = 0;
		}
	}
	return *work <= most;
}

bool regex_find(struct regex_scratch *x, int number, const char *text, size_t n, size_t from, size_t *begin,
                size_t *end, uint64_t *work)
{
	struct trio *t = trio_of(x, number);
	uint32_t state = start(t->first, kind_of(from ? (uint8_t)text[from - 1] : -1));
	size_t i = from;

	return first_end(t->first, &state, text, n, &i, work, UINT64_MAX) &&
	       settle(t, text, n, from, i, state, begin, end, work, UINT64_MAX);
}

void regex_first(const struct regex_scratch *x, int number, size_t *begin, size_t *end)
{
	*begin = x->first[number].begin;
	*end = x->first[number].end;
}
