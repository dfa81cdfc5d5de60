/* simulate-labels: what the order of labels is worth: the labels of a file of feedback, which has states (kungfu
 * feedback rank), are given again in another order, and a reward head (feedback/heads.h) learns from them as they come.
 * A quarter of the prompts is held out, their labels judge the head; of the others each item is asked once, by one of its own
 * labels, the first STEP at random, then STEP at a time by the rule:
 *
 *     random        the order of a keyed permutation
 *     information   the disagreement of heads (BALD)
 *     per second    the same over the seconds that the item is expected to take (feedback/next.h)
 *     margin        the smallest implicit margin
 *
 * usage: simulate-labels F.db [SEEDS [MOST]]     cc -O2 -Isrc -Iinclude tools/simulate-labels.c build/libkungfu.a …
 * Prints for each rule the mean accuracy with its standard error over seeds at each number of labels, then how many of
 * random's labels the rule needs for the accuracy that random has at MOST. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "feedback/heads.h"
#include "feedback/next.h"
#include "feedback/said.h"

enum rule { RANDOM, INFORMATION, PER_SECOND, MARGIN, RULES };
static const char *const rule_names[RULES] = { "random", "information", "per second", "margin" };
enum { STEP = 20, STEPS_MOST = 64, HELD_OUT = 4 };

struct run {
	const struct said *s;
	const struct comparison *all;   /* decided ones of items with states */
	size_t n;
	const struct pace *pace;
	size_t *order, n_pool;          /* items that may be asked, in random order */
	const struct comparison **own;  /* [n_items] the label that an item gives when it is asked; NULL: held out */
	struct comparison *held;
	size_t n_held;
};

/* Splits the prompts and draws each one's label. */
static void begin(struct run *r, uint64_t seed)
{
	struct rng_key key = { seed, RNG_SHUFFLE };
	size_t n = r->s->n_items, *seen = mem_array(2 * n, sizeof(*seen)), *prompt = seen + n;
	size_t n_prompts = said_prompts(r->s, prompt);

	r->n_pool = r->n_held = 0;
	memset(r->own, 0, n * sizeof(*r->own));
	for (size_t i = 0; i < r->n; i++) {
		size_t item = r->all[i].item;
		if (rng_permute(key, 0, n_prompts, prompt[item]) < n_prompts / HELD_OUT)
			r->held[r->n_held++] = r->all[i];
		else if ((double)rng_uniform(key, item, (uint32_t)i, 1) * (double)++seen[item] < 1)
			r->own[item] = &r->all[i];
	}
	for (size_t k = 0; k < n; k++) {
		size_t item = (size_t)rng_permute(key, 1, n, k);
		if (r->own[item])
			r->order[r->n_pool++] = item;
	}
	mem_free(seen);
}

struct choice { double worth; size_t item; };

static int by_worth(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (islessgreater(x->worth, y->worth))
		return x->worth > y->worth ? -1 : 1;
	return (x->item > y->item) - (x->item < y->item);
}

/* accuracy[]: after each step. */
static size_t ask(const struct run *r, enum rule rule, size_t most, uint64_t seed, double *accuracy)
{
	struct comparison *given = mem_array(r->n_pool, sizeof(*given));
	bool *asked = mem_array(r->s->n_items, sizeof(*asked));
	double *information = mem_array(r->s->n_items, sizeof(*information));
	struct choice *left = mem_array(r->n_pool, sizeof(*left));
	size_t n = 0, steps = 0;

	for (size_t k = 0; k < STEP; k++)
		left[k] = (struct choice){ 0, r->order[k] };
	while (n + STEP <= MIN(most, r->n_pool) && steps < STEPS_MOST) {
		struct arena mem = ARENA_INIT;
		struct heads h;
		size_t n_left = 0;
		for (size_t k = 0; k < STEP; k++) {
			asked[left[k].item] = true;
			given[n++] = *r->own[left[k].item];
		}
		heads_fit(&h, r->s, given, n, rule == INFORMATION || rule == PER_SECOND ? HEADS : 0, 0, seed, &mem);
		accuracy[steps++] = heads_accuracy(&h, r->s, r->held, r->n_held);
		if (rule != RANDOM)
			heads_information(&h, r->s, rule == MARGIN, information);
		for (size_t k = 0; k < r->n_pool; k++) {
			size_t item = r->order[k];
			if (asked[item])
				continue;
			double worth = rule == RANDOM ? -(double)k : information[item];
			if (rule == PER_SECOND)
				worth /= pace_seconds(r->pace, &r->s->items[item]);
			left[n_left++] = (struct choice){ worth, item };
		}
		qsort(left, n_left, sizeof(*left), by_worth);
		arena_release(&mem);
		if (n_left < STEP)
			break;
	}
	mem_free(left);
	mem_free(information);
	mem_free(asked);
	mem_free(given);
	return steps;
}

struct table { double sum[STEPS_MOST], square[STEPS_MOST]; size_t steps, n; };

static void add(struct table *t, const double *accuracy, size_t steps)
{
	for (size_t i = 0; i < steps; i++) {
		t->sum[i] += accuracy[i];
		t->square[i] += accuracy[i] * accuracy[i];
	}
	t->steps = steps;
	t->n++;
}

static void print(const struct table *t, enum rule rule)
{
	double n = (double)t->n;

	for (size_t i = 0; i < t->steps; i++) {
		double mean = t->sum[i] / n, spread = (t->square[i] / n - mean * mean) / fmax(n - 1, 1);
		printf("%-12s %4zu labels  %.4f ± %.4f\n", rule_names[rule], (i + 1) * STEP, mean, sqrt(fmax(spread, 0)));
	}
}

/* Labels at which the rule's mean accuracy first is random's last one. */
static void compare(const struct table *random, const struct table *t, enum rule rule)
{
	double goal = random->sum[random->steps - 1] / (double)random->n;

	for (size_t i = 0; i < t->steps; i++)
		if (t->sum[i] / (double)t->n >= goal) {
			printf("%s: random's %.4f at %zu labels is there at %zu, %.0f %%\n", rule_names[rule], goal,
			       random->steps * STEP, (i + 1) * STEP,
			       100 * (double)(i + 1) / (double)random->steps);
			return;
		}
	printf("%s: random's %.4f is not reached in %zu labels\n", rule_names[rule], goal, t->steps * STEP);
}

static int simulate(const struct said *s, struct arena *mem, int seeds, size_t most)
{
	struct comparison *c;
	struct pace pace;
	size_t n = comparisons_of(s, mem, &c), kept = 0;
	static struct table tables[RULES];

	for (size_t i = 0; i < n; i++)
		if (s->states.of[c[i].item] && islessgreater(c[i].won, 0.5))
			c[kept++] = c[i];
	pace_of(&pace, s);
	struct run r = { s, c, kept, &pace, arena_array(mem, s->n_items, sizeof(size_t)), 0,
		         arena_array(mem, s->n_items, sizeof(struct comparison *)),
		         arena_array(mem, kept, sizeof(struct comparison)), 0 };
	for (int seed = 1; seed <= seeds; seed++) {
		begin(&r, (uint64_t)seed);
		for (int rule = 0; rule < RULES; rule++) {
			double accuracy[STEPS_MOST];
			add(&tables[rule], accuracy, ask(&r, rule, most, (uint64_t)seed, accuracy));
		}
		fprintf(stderr, "seed %d of %d\n", seed, seeds);
	}
	for (int rule = 0; rule < RULES; rule++)
		print(&tables[rule], rule);
	for (int rule = 1; rule < RULES; rule++)
		compare(&tables[RANDOM], &tables[rule], rule);
	return 0;
}

int main(int argc, char **argv)
{
	struct arena mem = ARENA_INIT;
	struct feedback *f = NULL;
	struct err e = ERR_INIT;
	struct said s;
	const char *model;

	if (argc < 2) {
		fprintf(stderr, "usage: simulate-labels F.db [SEEDS [MOST]]\n");
		return 2;
	}
	int seeds = argc > 2 ? atoi(argv[2]) : 10;
	size_t most = argc > 3 ? (size_t)atoi(argv[3]) : 400;
	if (feedback_open(&f, argv[1], false, &e) < 0 || said_load(&s, f, &mem, &e) < 0 ||
	    feedback_states(f, &mem, s.items, s.n_items, &s.states, &model, &e) < 0) {
		fprintf(stderr, "simulate-labels: %s\n", e.msg);
		return 1;
	}
	int status = simulate(&s, &mem, seeds, most);
	feedback_close(f);
	arena_release(&mem);
	return status;
}
