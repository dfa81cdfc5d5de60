/* worth: nested parts of each split's order, a head a part. See worth.h. */
#include "feedback/worth.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "feedback/heads.h"

enum { LEAST = 40, SMALLEST = 8, HELD_OUT = 4 };        /* one prompt in HELD_OUT is held out */

/* Prompts in the order of a split; of the comparisons those whose prompt's place is in it from one to another. */
struct split { size_t *prompt, n; struct rng_key key; uint64_t number; };

static size_t pick(const struct split *t, const struct comparison *c, size_t n, size_t from, size_t to,
                   struct comparison *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		size_t place = (size_t)rng_permute(t->key, t->number, t->n, t->prompt[c[i].item]);
		if (place >= from && place < to)
			out[kept++] = c[i];
	}
	return kept;
}

struct sums { double labels, error, square, n; };

static void split_once(struct sums *sums, const struct said *s, const struct split *t, const struct comparison *c,
                       size_t n, double penalty)
{
	struct comparison *held = mem_array(2 * n, sizeof(*held)), *learnt = held + n;
	size_t out = t->n / HELD_OUT, rest = t->n - out, n_held = pick(t, c, n, 0, out, held);

	for (int k = 0; k < WORTH_SIZES; k++) {
		struct arena mem = ARENA_INIT;
		struct heads h;
		size_t some = pick(t, c, n, out, out + (rest >> (WORTH_SIZES - 1 - k)), learnt);
		if (some < SMALLEST || n_held == 0)
			continue;
		heads_fit(&h, s, learnt, some, 0, penalty, t->key.seed, &mem);
		double error = 1 - heads_accuracy(&h, s, held, n_held);
		sums[k].labels += (double)some;
		sums[k].error += error;
		sums[k].square += error * error;
		sums[k].n++;
		arena_release(&mem);
	}
	mem_free(held);
}

static int conclude(struct worth *out, uint64_t seed, struct err *e)
{
	struct curve curve;
	const struct curve_point *first = &out->points[0], *last = &out->points[out->n - 1];

	if (curve_fit(&curve, out->points, out->n, false, seed, e) < 0)
		return -1;
	out->falls = curve.a > 0 && last->err < first->err;
	out->error = curve_at(&curve, out->labels);
	out->gain = out->falls ? curve_gain(&curve, out->labels, out->labels + WORTH_NEXT) : span_exact(NAN);
	curve_release(&curve);
	return 0;
}

/* all: [usable] what can be learnt from; its own best penalty is that of every part. */
static void measure(struct worth *out, const struct said *s, const struct comparison *all, size_t usable, uint64_t seed)
{
	struct sums sums[WORTH_SIZES] = { 0 };
	struct arena mem = ARENA_INIT;
	struct heads whole;
	struct split t = { .prompt = arena_array(&mem, s->n_items, sizeof(size_t)), .key = { seed, RNG_SHUFFLE } };

	t.n = said_prompts(s, t.prompt);
	heads_fit(&whole, s, all, usable, 0, 0, seed, &mem);
	for (t.number = 0; t.number < WORTH_SPLITS; t.number++)
		split_once(sums, s, &t, all, usable, whole.penalty);
	arena_release(&mem);
	for (int k = 0; k < WORTH_SIZES; k++) {
		const struct sums *m = &sums[k];
		double error = m->error / m->n, spread = (m->square / m->n - error * error) / (m->n - 1);
		if (m->n == WORTH_SPLITS)
			out->points[out->n++] = (struct curve_point){ m->labels / m->n, error, sqrt(fmax(spread, 0)) };
	}
}

int worth_of(struct worth *out, const struct said *s, const struct comparison *c, size_t n, uint64_t seed,
             struct err *e)
{
	struct comparison *all = mem_array(n, sizeof(*all));
	size_t usable = 0;

	for (size_t i = 0; i < n; i++)
		if (s->states.width && s->states.of[c[i].item] && islessgreater(c[i].won, 0.5))
			all[usable++] = c[i];
	*out = (struct worth){ .labels = (double)usable };
	if (usable >= LEAST)
		measure(out, s, all, usable, seed);
	mem_free(all);
	if (s->states.width == 0)
		return err_set(e, "no model was asked for the states of the answers yet; kungfu feedback rank FILE "
		                  "--model MODEL does it");
	if (usable < LEAST || out->n < 3)
		return err_set(e, "%zu comparisons were decided of items with states; what more of them are worth is "
		                  "told from %d or so on", usable, LEAST);
	return conclude(out, seed, e);
}
