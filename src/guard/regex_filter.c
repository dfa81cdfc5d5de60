/* regex_filter: Aho and Corasick (1975) as an automaton of all moves: a state is the longest beginning of a string that
 * the text ends with, and states in which a string ends stand behind the others. Expressions whose strings would make
 * more than STATES are looked for in every text.
 *
 * Runs are counted without a branch, all kinds beside each other: a kind's counter goes on by one where the byte is of
 * the kind, else it is 0. A run that is longer than the counter holds has reached its greatest number before. */
#include "guard/regex_filter.h"

#include <string.h>

#include "base/mem.h"

enum { STATES = 30000, BLOCK = 30000, STRIPES = 4 };

typedef int16_t lanes __attribute__((vector_size(2 * NEED_KINDS)));
typedef uint16_t wrapping __attribute__((vector_size(2 * NEED_KINDS)));

struct ending { uint32_t list, next; };  /* next: 0, or 1 + another in the same state */

struct regex_filter {
	const struct need *need;
	size_t n;
	uint32_t *list_of;              /* [n + 1] the first list of each expression, of all lists */
	bool *hit;                      /* [list_of[n]] */
	uint8_t class_of[256];          /* 0: in no string */
	size_t n_classes;
	uint16_t *move;                 /* [n_states][n_classes] */
	size_t n_states, cap;
	uint32_t *end;                  /* [n_states] 0, or 1 + an ending */
	uint16_t *fail;                 /* [n_states] the longest other beginning that it ends with */
	struct ending *endings;
	size_t n_endings;
	bool counts;                    /* amounts are looked at: some expression needs no string */
	size_t longest;                 /* of the strings, bytes */
	size_t first_end;               /* states from here on have endings, their own or their fails' */
	lanes kind[256];                /* −1 where the byte is of the kind */
	uint32_t *told, now;            /* [n_states] the text that its endings were told of */
};

/* --- building --- */

static uint16_t new_state(struct regex_filter *f)
{
	if (f->n_states == f->cap) {
		f->cap = MAX((size_t)256, 2 * f->cap);
		f->move = mem_grow(f->move, f->cap * f->n_classes, sizeof(*f->move));
		f->end = mem_grow(f->end, f->cap, sizeof(*f->end));
	}
	memset(f->move + f->n_states * f->n_classes, 0, f->n_classes * sizeof(*f->move));
	f->end[f->n_states] = 0;
	return (uint16_t)f->n_states++;
}

static void add_string(struct regex_filter *f, const char *s, uint32_t list)
{
	size_t at = 0;

	f->longest = MAX(f->longest, strlen(s));
	for (; *s; s++) {
		size_t class = f->class_of[(uint8_t)*s];
		if (!f->move[at * f->n_classes + class]) {
			uint16_t to = new_state(f);
			f->move[at * f->n_classes + class] = to;
		}
		at = f->move[at * f->n_classes + class];
	}
	f->endings = mem_grow(f->endings, f->n_endings + 1, sizeof(*f->endings));
	f->endings[f->n_endings] = (struct ending){ list, f->end[at] };
	f->end[at] = (uint32_t)++f->n_endings;
}

static size_t lengths(const struct need *n)
{
	size_t sum = 0;

	for (size_t k = 0; k < n->n; k++)
		for (size_t i = 0; i < n->list[k].n; i++)
			sum += strlen(n->list[k].s[i]);
	return sum;
}

static void each_string(struct regex_filter *f, void (*visit)(struct regex_filter *f, const char *s, uint32_t list))
{
	for (size_t i = 0; i < f->n; i++)
		for (uint32_t k = f->list_of[i]; k < f->list_of[i + 1]; k++) {
			const struct strings *l = &f->need[i].list[k - f->list_of[i]];
			for (size_t j = 0; j < l->n; j++)
				visit(f, l->s[j], k);
		}
}

static void add_classes(struct regex_filter *f, const char *s, uint32_t list)
{
	(void)list;
	for (; *s; s++)
		if (!f->class_of[(uint8_t)*s])
			f->class_of[(uint8_t)*s] = (uint8_t)f->n_classes++;
}

/* Every move of every state, in the order of their lengths. */
static void close_moves(struct regex_filter *f)
{
	uint16_t *queue = mem_array(f->n_states, sizeof(*queue));
	size_t n = 0;

	f->fail = mem_array(f->n_states, sizeof(*f->fail));
	for (size_t c = 0; c < f->n_classes; c++)
		if (f->move[c])
			queue[n++] = f->move[c];
	for (size_t i = 0; i < n; i++) {
		uint16_t *own = f->move + queue[i] * f->n_classes, fail = f->fail[queue[i]];
		for (size_t c = 0; c < f->n_classes; c++) {
			uint16_t other = f->move[fail * f->n_classes + c];
			if (own[c]) {
				f->fail[own[c]] = other;
				queue[n++] = own[c];
			} else {
				own[c] = other;
			}
		}
	}
	mem_free(queue);
}

/* A state's endings and those of all that it ends with. */
static bool has_ending(const struct regex_filter *f, size_t state)
{
	for (; state; state = f->fail[state])
		if (f->end[state])
			return true;
	return false;
}

/* States with endings behind the others, so that a comparison tells them. */
static void sort_states(struct regex_filter *f)
{
	uint16_t *place = mem_array(f->n_states, sizeof(*place));
	size_t n = 0, k = f->n_classes;
	uint16_t *move = mem_array(f->n_states * k, sizeof(*move)), *fail = mem_array(f->n_states, sizeof(*fail));
	uint32_t *end = mem_array(f->n_states, sizeof(*end));

	for (int with = 0; with < 2; with++) {
		f->first_end = n;
		for (size_t i = 0; i < f->n_states; i++)
			if (has_ending(f, i) == with)
				place[i] = (uint16_t)n++;
	}
	for (size_t i = 0; i < f->n_states; i++) {
		for (size_t c = 0; c < k; c++)
			move[place[i] * k + c] = place[f->move[i * k + c]];
		fail[place[i]] = place[f->fail[i]];
		end[place[i]] = f->end[i];
	}
	mem_free(place);
	mem_free(f->move);
	mem_free(f->fail);
	mem_free(f->end);
	f->move = move;
	f->fail = fail;
	f->end = end;
}

struct regex_filter *regex_filter_new(const struct need *need, size_t n)
{
	struct regex_filter *f = mem_alloc(sizeof(*f));
	size_t states = 1;

	f->need = need;
	f->n = n;
	f->n_classes = 1;
	f->list_of = mem_array(n + 1, sizeof(*f->list_of));
	for (size_t i = 0; i < n; i++) {
		size_t more = lengths(&need[i]);
		bool fits = states + more <= STATES;
		f->list_of[i + 1] = f->list_of[i] + (fits ? (uint32_t)need[i].n : 0);
		f->counts |= f->list_of[i + 1] == f->list_of[i];
		states += fits ? more : 0;
	}
	f->hit = mem_array(f->list_of[n] + 1, sizeof(*f->hit));
	each_string(f, add_classes);
	for (int c = 'A'; c <= 'Z'; c++)
		f->class_of[c] = f->class_of[c | 32];
	new_state(f);
	each_string(f, add_string);
	close_moves(f);
	sort_states(f);
	for (int c = 0; c < 256; c++)
		for (int k = 0; k < NEED_KINDS; k++)
			f->kind[c][k] = need_kinds[c] >> k & 1 ? -1 : 0;
	f->told = mem_array(f->n_states, sizeof(*f->told));
	return f;
}

void regex_filter_free(struct regex_filter *f)
{
	if (!f)
		return;
	mem_free(f->list_of);
	mem_free(f->hit);
	mem_free(f->move);
	mem_free(f->end);
	mem_free(f->fail);
	mem_free(f->endings);
	mem_free(f->told);
	mem_free(f);
}

/* --- looking --- */

static void tell_endings(struct regex_filter *f, size_t state)
{
	for (; state && f->told[state] != f->now; state = f->fail[state]) {
		f->told[state] = f->now;
		for (uint32_t e = f->end[state]; e; e = f->endings[e - 1].next)
			f->hit[f->endings[e - 1].list] = true;
	}
}

static void begin_look(struct regex_filter *f)
{
	memset(f->hit, 0, f->list_of[f->n] * sizeof(*f->hit));
	if (++f->now == 0) {
		memset(f->told, 0, f->n_states * sizeof(*f->told));
		f->now = 1;
	}
}

/* Whose strings end in the text from `at` to `end`, of those that begin there too. */
static void look_for_strings(struct regex_filter *f, const char *text, size_t at, size_t end, size_t state)
{
	for (; at < end; at++) {
		state = f->move[state * f->n_classes + f->class_of[(uint8_t)text[at]]];
		if (state >= f->first_end)
			tell_endings(f, state);
	}
}

/* The same of the whole text, in stripes that are gone over beside each other, since a move waits for the one before
 * it. A stripe begins so far in the one before it that no string lies in none. */
static void look_in_stripes(struct regex_filter *f, const char *text, size_t n)
{
	const uint16_t *move = f->move;
	const uint8_t *class_of = f->class_of;
	size_t classes = f->n_classes, first_end = f->first_end, each = n / STRIPES;
	size_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
	const char *t0 = text, *t1 = t0 + each - f->longest, *t2 = t1 + each, *t3 = t2 + each;

	for (size_t i = 0; i < each; i++) {
		s0 = move[s0 * classes + class_of[(uint8_t)t0[i]]];
		s1 = move[s1 * classes + class_of[(uint8_t)t1[i]]];
		s2 = move[s2 * classes + class_of[(uint8_t)t2[i]]];
		s3 = move[s3 * classes + class_of[(uint8_t)t3[i]]];
		if (s0 < first_end && s1 < first_end && s2 < first_end && s3 < first_end)
			continue;
		tell_endings(f, s0 < first_end ? 0 : s0);
		tell_endings(f, s1 < first_end ? 0 : s1);
		tell_endings(f, s2 < first_end ? 0 : s2);
		tell_endings(f, s3 < first_end ? 0 : s3);
	}
	look_for_strings(f, t1, each, each + f->longest, s1);
	look_for_strings(f, t2, each, each + f->longest, s2);
	look_for_strings(f, t3, each, (size_t)(text + n - t3), s3);
}

static void count(const struct regex_filter *f, struct amounts *a, const char *text, size_t n)
{
	lanes run = { 0 }, most = { 0 };

	*a = (struct amounts){ { 0 }, { 0 } };
	for (size_t i = 0; i < n;) {
		lanes sum = { 0 };
		for (size_t end = MIN(n, i + BLOCK); i < end; i++) {
			lanes kind = f->kind[(uint8_t)text[i]];
			run = (lanes)((wrapping)run + 1) & kind;
			lanes longer = run > most;
			most = (run & longer) | (most & ~longer);
			sum -= kind;
		}
		for (int k = 0; k < NEED_KINDS; k++)
			a->count[k] += (uint32_t)sum[k];
	}
	for (int k = 0; k < NEED_KINDS; k++)
		a->run[k] = (uint32_t)most[k];
}

void regex_filter_look(struct regex_filter *f, const char *text, size_t n, bool *may)
{
	struct amounts has = { { 0 }, { 0 } };

	begin_look(f);
	if (n / STRIPES <= f->longest)
		look_for_strings(f, text, 0, n, 0);
	else
		look_in_stripes(f, text, n);
	if (f->counts)
		count(f, &has, text, n);
	for (size_t i = 0; i < f->n; i++) {
		bool all = true;
		for (uint32_t k = f->list_of[i]; k < f->list_of[i + 1]; k++)
			all &= f->hit[k];
		for (int k = 0; k < NEED_KINDS && all && f->counts; k++)
			all = has.count[k] >= f->need[i].least.count[k] && has.run[k] >= f->need[i].least.run[k];
		may[i] = all;
	}
}
