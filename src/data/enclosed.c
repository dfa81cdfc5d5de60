/* enclosed: encoded, cut, joined. See enclosed.h. */
#include "data/enclosed.h"

#include <string.h>

#include "base/mem.h"

const struct pair_columns pair_columns[] = {
	{ "sentence1", "sentence2" }, { "premise", "hypothesis" }, { "question1", "question2" },
	{ "question", "sentence" },   { "question", "context" },   { "text", "text_pair" },
	{ NULL, NULL },
};

const struct pair_columns *pair_columns_of(const json_t *row)
{
	for (const struct pair_columns *p = pair_columns; p->first; p++)
		if (json_is_string(json_object_get(row, p->first)) && json_is_string(json_object_get(row, p->second)))
			return p;
	return NULL;
}

static void append(struct tokens *to, const int32_t *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tokens_add(to, id[i]);
}

/* How many of a and b tokens stay where they may be `most`. */
static void cut_longest(size_t *a, size_t *b, size_t most)
{
	size_t *less = *a <= *b ? a : b, *more = less == a ? b : a;

	if (*a + *b <= most)
		return;
	*more = *less > most ? *less : MAX(*less, most - *less);
	if (*less + *more > most) {
		*less = most / 2;
		*more = most / 2 + most % 2;
	}
}

static void join_one(struct enclosed *x, const struct tokens *a, const struct around *around, size_t max)
{
	size_t own = MIN(a->n, max - around->n_front - around->n_back);

	append(&x->ids, around->front, around->n_front);
	append(&x->ids, a->id, own);
	append(&x->ids, around->back, around->n_back);
	x->cut = a->n - own;
}

static void join_two(struct enclosed *x, const struct tokens *a, const struct tokens *b, const struct pair_around *p,
                     size_t max)
{
	size_t n = a->n, m = b->n;

	cut_longest(&n, &m, max - p->n[0] - p->n[1] - p->n[2]);
	append(&x->ids, p->ids[0], p->n[0]);
	append(&x->ids, a->id, n);
	size_t early = x->ids.n;
	append(&x->ids, p->ids[1], p->n[1]);
	x->second = p->typed ? (int32_t)(p->early ? early : x->ids.n) : 0;
	append(&x->ids, b->id, m);
	append(&x->ids, p->ids[2], p->n[2]);
	x->cut = a->n - n + b->n - m;
}

int enclose(struct enclosed *x, const struct tokenizer *t, size_t max, struct err *e)
{
	struct around around = tokenizer_around(t);
	struct pair_around pair;
	struct tokens a = { 0 }, b = { 0 };

	tokenizer_pair(t, &pair);
	size_t fixed = x->pair ? pair.n[0] + pair.n[1] + pair.n[2] : around.n_front + around.n_back;
	x->ids.n = 0;
	x->second = 0;
	x->cut = 0;
	if (fixed >= max)
		return err_set(e, "documents of %zu tokens: the tokenizer puts %zu around every %s", max, fixed,
		               x->pair ? "pair" : "text");
	int status = tokenizer_encode(t, x->text, x->n, TOKENIZE_SPECIAL, &a, e);
	if (status == 0 && x->pair)
		status = tokenizer_encode(t, x->pair, x->n_pair, TOKENIZE_SPECIAL, &b, e);
	if (status == 0 && x->pair)
		join_two(x, &a, &b, &pair, max);
	else if (status == 0)
		join_one(x, &a, &around, max);
	if (status == 0 && !x->ids.n)
		status = err_set(e, "an empty text has no token, and the tokenizer puts none around it");
	tokens_release(&a);
	tokens_release(&b);
	return status;
}

void enclosed_document(struct document *d, struct arena *mem, const struct enclosed *x, bool first)
{
	d->n = (int32_t)x->ids.n;
	d->ids = arena_array(mem, x->ids.n, sizeof(*d->ids));
	d->learn = arena_array(mem, x->ids.n, 1);
	memcpy(d->ids, x->ids.id, x->ids.n * sizeof(*d->ids));
	d->learn[first ? 0 : d->n - 1] = 1;
	d->n_learn = 1;
}
