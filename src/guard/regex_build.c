/* regex_build: a tree becomes steps, from its end to its beginning: each part is given where it goes on. Counts are
 * copies. A program that reads backward has the parts of a row in the other order.
 *
 * Of copies that may be left out (x{2,9} has seven) each goes on into those before it, so what a later one can still
 * match has all that an earlier one can: such copies are the rungs of a ladder, and of a state's steps on the same
 * place of several rungs the last one is enough. */
#include "guard/regex_parts.h"

#include <string.h>

#include "base/mem.h"

struct building {
	struct program *p;
	struct err *e;
	bool full;
};

static uint32_t put(struct building *b, enum step_kind kind, uint32_t next, uint32_t other)
{
	struct program *p = b->p;

	if (p->n >= PROGRAM_STEPS) {
		b->full = true;
		return 0;
	}
	if (p->n == p->cap) {
		p->cap = MAX((size_t)64, 2 * p->cap);
		p->step = mem_grow(p->step, p->cap, sizeof(*p->step));
	}
	p->step[p->n] = (struct step){ (uint8_t)kind, false, (uint16_t)next, (uint16_t)other, (uint16_t)p->n };
	return (uint32_t)p->n++;
}

static uint32_t set_of(struct program *p, const struct bytes *b)
{
	for (size_t i = 0; i < p->n_sets; i++)
		if (bytes_same(&p->set[i], b))
			return (uint32_t)i;
	if (p->n_sets == p->cap_sets) {
		p->cap_sets = MAX((size_t)16, 2 * p->cap_sets);
		p->set = mem_grow(p->set, p->cap_sets, sizeof(*p->set));
	}
	p->set[p->n_sets] = *b;
	return (uint32_t)p->n_sets++;
}

static uint32_t emit(struct building *b, const struct tree *t, uint32_t next);

/* Of ladders in ladders the inner one is a step's. */
static void set_rung(struct step *s, size_t of)
{
	s->rung = true;
	s->rung_of = (uint16_t)of;
}

static uint32_t repeat(struct building *b, const struct tree *t, uint32_t next)
{
	if (t->most < 0) {
		uint32_t split = put(b, STEP_SPLIT, next, next);
		uint32_t body = emit(b, t->a, split);
		if (!b->full)
			b->p->step[split].other = (uint16_t)body;
		next = split;
	}
	uint32_t past = next;
	for (size_t i = t->least, first = b->p->n, n = 0; (int)i < t->most && !b->full; i++) {
		size_t began = b->p->n;
		next = put(b, STEP_SPLIT, emit(b, t->a, next), past);
		n = n ? n : b->p->n - first;
		for (size_t k = began; k < b->p->n && !b->full; k++)
			if (!b->p->step[k].rung)
				set_rung(&b->p->step[k], first + (k - began) % n);
	}
	for (int i = 0; i < t->least && !b->full; i++)
		next = emit(b, t->a, next);
	return next;
}

static uint32_t emit(struct building *b, const struct tree *t, uint32_t next)
{
	if (b->full)
		return 0;
	switch (t->kind) {
	case TREE_EMPTY: return next;
	case TREE_BYTE: return put(b, STEP_BYTE, next, set_of(b->p, &t->bytes));
	case TREE_CAT:
		if (b->p->backward)
			return emit(b, t->b, emit(b, t->a, next));
		return emit(b, t->a, emit(b, t->b, next));
	case TREE_OR: {
		uint32_t a = emit(b, t->a, next), c = emit(b, t->b, next);
		return put(b, STEP_SPLIT, a, c);
	}
	case TREE_REPEAT: return repeat(b, t, next);
	case TREE_ASSERT: return put(b, STEP_ASSERT, next, (uint32_t)t->assert);
	}
	BUG("tree %d", (int)t->kind);
}

/* Classes fall in two by what is in the set; they are numbered as they come. */
static void split_classes(struct program *p, const struct bytes *set)
{
	uint16_t as[256][2] = { { 0 } }, n = 0; /* 1 + the new one */

	for (int c = 0; c < 256; c++) {
		uint16_t *now = &as[p->class_of[c]][bytes_has(set, (uint8_t)c)];
		if (!*now) {
			p->example[n] = (uint8_t)c;
			*now = ++n;
		}
		p->class_of[c] = (uint8_t)(*now - 1);
	}
	p->n_classes = n;
}

/* Bytes are alike that are in the same sets, and are word, line end or neither alike. */
static void make_classes(struct program *p)
{
	struct bytes line = { { 0 } }, word = { { 0 } };

	bytes_put(&line, '\n');
	for (int c = 0; c < 256; c++)
		if (is_word_byte(c))
			bytes_put(&word, (uint8_t)c);
	split_classes(p, &line);
	split_classes(p, &word);
	for (size_t i = 0; i < p->n_sets; i++)
		split_classes(p, &p->set[i]);
}

int program_make(struct program *p, const struct tree *t, struct err *e)
{
	struct building b = { p, e, false };

	p->begin = emit(&b, t, put(&b, STEP_MATCH, 0, 0));
	if (b.full)
		return err_set(e, "the expression is too large: it has more than %d states", PROGRAM_STEPS);
	make_classes(p);
	return 0;
}

void program_release(struct program *p)
{
	mem_free(p->step);
	mem_free(p->set);
	*p = (struct program){ .n = 0 };
}
