/* trainers: recipes beside each other on one base. See trainers.h.
 *
 * A step is one of each. Their micro-batches go through in rounds, the first of all, then the second; a recipe of fewer
 * waits. In a round those whose blocks below are the model's own and whose micro-batches are alike are computed by a
 * pass of those blocks first (struct below), forward alone, in the arithmetic of training; each pass above it reads the
 * hidden states where they lie. Passes of one round run after each other in the same memory or, where they are small,
 * together (run_step_all): products with a matrix of the base are then one for the rows of all. */
#include "train/trainers.h"

#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/human.h"
#include "base/mem.h"
#include "kernel/gemm.h"
#include "model/resident.h"
#include "train/trainer_parts.h"

/* Rows of passes that go together: so many as one unpacking of a matrix is for. More would be cut into several anew,
 * and their activations would not stay in the caches: of eight LoRAs of SmolLM2 with 75 rows each, the steps of all
 * took 0.91 of the time of each alone in threes, 1.03 in fours (AVX-512; 0.93 and 1.02 by AVX2's kernels there). A pass
 * joins where two have room. */
enum { TOGETHER_ROWS = GEMM_ROWS, FEW_ROWS = TOGETHER_ROWS / 2 };

/* of the heap while they run, of each: logs, metrics, the ledger's pages */
enum { LATER_BYTES = 96 << 10 };

/* Blocks below `block`, which some have in common. */
struct below {
	int block;
	size_t users;
	struct model_pass net;
};

struct one {
	struct trainer *trainer;
	struct below *below;               /* or NULL: its pass has all blocks */
	struct trainers_share share;
	size_t data_bytes;                 /* what opening it has taken */
	bool joins;                        /* its micro-batches are small: its pass goes with those of others */
	size_t place;                      /* then the memory that it works in */
	bool waits;                        /* in a round: its micro-batch is filled and has not run */
};

struct trainers {
	struct device *device;
	/* of steps and evaluations, one after the other; those beside it are of passes that go with the first's */
	struct run_memory memory[GEMM_TOGETHER];
	size_t places;
	struct one *items;
	size_t n;
	struct below *belows;
	size_t n_belows;
	struct trainers_plan plan;
	double opened;
	bool started;
};

struct trainers *trainers_new(struct device *d)
{
	struct trainers *s = mem_alloc(sizeof(*s));

	*s = (struct trainers){ .device = d, .opened = clock_seconds(), .places = 1 };
	for (size_t i = 0; i < GEMM_TOGETHER; i++)
		s->memory[i].device = d;
	return s;
}

size_t trainers_count(const struct trainers *s) { return s->n; }
struct trainer *trainers_at(const struct trainers *s, size_t i) { return s->items[i].trainer; }
const struct trainers_plan *trainers_plan(const struct trainers *s) { return &s->plan; }
const struct trainers_share *trainers_share(const struct trainers *s, size_t i) { return &s->items[i].share; }

int trainers_add(struct trainers *s, const struct recipe *r, long first, struct err *e)
{
	struct recipe own = *r;
	struct trainer *t, *beside = s->n ? s->items[0].trainer : NULL;
	size_t before = mem_rss(), shared = s->memory->arena_bytes + s->memory->scratch_bytes;

	if (s->started || s->n == TRAINERS_MOST)
		BUG("%zu recipes together, at most %d", s->n + 1, TRAINERS_MOST);
	own.memory = 0;
	if (trainer_open_among(&t, &own, first, beside, s->memory, s->device, e) < 0)
		return -1;
	s->items = mem_grow(s->items, s->n + 1, sizeof(*s->items));
	s->items[s->n++] = (struct one){ .trainer = t };
	shared = s->memory->arena_bytes + s->memory->scratch_bytes - shared;
	s->items[s->n - 1].data_bytes = beside && mem_rss() > before + shared ? mem_rss() - before - shared : 0;
	return 0;
}

static void release_belows(struct trainers *s)
{
	for (size_t i = 0; i < s->n_belows; i++)
		model_pass_release(&s->belows[i].net);
	mem_free(s->belows);
	s->belows = NULL;
	s->n_belows = 0;
	for (size_t i = 0; i < s->n; i++)
		s->items[i].below = NULL;
}

void trainers_drop(struct trainers *s)
{
	release_belows(s);
	trainer_close(s->items[--s->n].trainer);
}

/* --- what is alike --- */

static int record_below(struct trainers *s, struct below *b, const struct batch_cap *cap, const struct past_keys *past,
                        struct err *e)
{
	struct model_pass *p = &b->net;
	struct batch_cap own = *cap;

	own.columns = NULL;
	model_pass_begin(p, s->device, &own, s->items[0].trainer->model, NULL, false);
	p->graph.past = past->n ? past : NULL;
	p->graph.as_trained = true;
	p->result = graph_hidden_before(&p->graph, b->block);
	return pass_plan(&p->pass, NULL, e);
}

static bool go_together(const struct trainers *s, const int *lowest, size_t i, size_t j)
{
	return lowest[i] == lowest[j] && past_same(s->items[i].trainer, s->items[j].trainer);
}

/* Those of the same lowest block as `first`, and of the same past, where it is above 0 and there are two. */
static int make_below(struct trainers *s, size_t first, const int *lowest, struct err *e)
{
	struct below *b = &s->belows[s->n_belows];
	struct batch_cap cap = { 0 };
	int block = lowest[first];
	size_t users = 0;

	for (size_t i = 0; i < s->n; i++)
		users += go_together(s, lowest, first, i);
	if (users < 2 || block < 1)
		return 0;
	*b = (struct below){ .block = block, .users = users };
	s->n_belows++;
	for (size_t i = 0; i < s->n; i++) {
		struct trainer *t = s->items[i].trainer;
		if (!go_together(s, lowest, first, i))
			continue;
		batch_cap_max(&cap, &t->dry.cap);
		s->items[i].below = b;
		if (t->first_block != block && trainer_record_from(t, block, e) < 0)
			return -1;
	}
	return record_below(s, b, &cap, &s->items[first].trainer->past, e);
}

static int find_alike(struct trainers *s, struct err *e)
{
	int *lowest = mem_array(s->n, sizeof(*lowest)), status = 0;

	release_belows(s);
	s->belows = mem_array(s->n, sizeof(*s->belows)); /* stay where they are: passes point into themselves */
	for (size_t i = 0; i < s->n; i++)
		lowest[i] = trainer_lowest_block(s->items[i].trainer);
	for (size_t i = 0; i < s->n && !status; i++) {
		bool seen = false;
		for (size_t j = 0; j < i; j++)
			seen |= go_together(s, lowest, i, j);
		if (!seen)
			status = make_below(s, i, lowest, e);
	}
	for (size_t i = 0; i < s->n && !status; i++) {
		struct trainer *t = s->items[i].trainer;
		if (!s->items[i].below && t->first_block) /* the others were dropped */
			status = trainer_record_from(t, 0, e);
	}
	mem_free(lowest);
	return status;
}

/* --- the plan --- */

static size_t pages(size_t bytes) { return ROUND_UP(bytes, (size_t)4096); }

static size_t scratch_of(const struct trainers *s, const struct pass *p)
{
	return pages(p->plan.scratch_bytes * (size_t)pool_threads(s->device->pool));
}

/* Of the steps of one: what its pass takes of those that it would take alone. */
static void share_time(struct one *o)
{
	struct trainer *t = o->trainer;
	const struct trainer_plan *p = &t->totals;
	double part = 1;

	o->share.with = 1;
	if (o->below) {
		struct work above = pass_work(&t->net.pass, &t->dry.live),
			    below = pass_work(&o->below->net.pass, &t->dry.live);
		part = (above.flops + below.flops / (double)o->below->users) / (above.flops + below.flops);
		o->share.with = o->below->users;
		o->share.shared_blocks = o->below->block;
	}
	o->share.seconds = p->start_seconds + p->step_seconds * part + p->eval_seconds + p->save_seconds +
	                   p->forgetting_seconds;
}

static void add_times(struct trainers *s, const struct one *o)
{
	const struct trainer_plan *p = &o->trainer->totals;
	struct trainers_plan *all = &s->plan;
	double steps = o->share.seconds - p->start_seconds - p->eval_seconds - p->save_seconds - p->forgetting_seconds;

	all->start_seconds += p->start_seconds;
	all->step_seconds += steps;
	all->eval_seconds += p->eval_seconds;
	all->save_seconds += p->save_seconds;
	all->forgetting_seconds += p->forgetting_seconds;
	struct work below = { 0 };
	if (o->below)
		below = pass_work(&o->below->net.pass, &o->trainer->dry.live);
	double saved = o->below ? 1 - 1 / (double)o->below->users : 0;
	all->planned_flops += p->planned_flops - below.flops * saved;
	all->planned_int_ops += p->planned_int_ops - below.int_ops * saved;
}

/* The parts that each has, and of each place the largest of those that work there. */
static void add_memory(struct trainers *s)
{
	struct trainers_plan *all = &s->plan;
	size_t arena[GEMM_TOGETHER] = { s->memory->arena_bytes }, scratch[GEMM_TOGETHER] = { s->memory->scratch_bytes };

	for (size_t i = 0; i < s->n; i++) {
		struct one *o = &s->items[i];
		const struct trainer *t = o->trainer;
		size_t state = trainer_state_bytes(t) + t->totals.kl_bytes, batch = pages(batch_bytes(&t->dry.cap));
		all->weights_bytes = MAX(all->weights_bytes, t->totals.weights_bytes);
		all->state_bytes += state;
		all->batch_bytes += batch;
		size_t own = pages(t->net.pass.plan.arena_bytes), threads = scratch_of(s, &t->net.pass);
		o->share.bytes = state + batch + o->data_bytes;
		if (o->place && !arena[o->place])
			o->share.bytes += own + threads;
		arena[o->place] = MAX(arena[o->place], own);
		scratch[o->place] = MAX(scratch[o->place], threads);
	}
	for (size_t i = 0; i < s->n_belows; i++) {
		const struct pass *p = &s->belows[i].net.pass;
		all->arena_bytes += pages(p->plan.arena_bytes);
		all->scratch_bytes += scratch_of(s, p);
		all->batch_bytes += pages(batch_bytes(&p->plan.cap));
	}
	for (size_t i = 0; i < s->places; i++) {
		all->arena_bytes += arena[i];
		all->scratch_bytes += scratch[i];
	}
}

/* What is there already, but what the parts count. */
static size_t base_bytes(const struct trainers *s)
{
	size_t counted = s->memory->arena_bytes + s->memory->scratch_bytes, begin = 0, owned = 0;

	model_forget(s->items[0].trainer->model);
	for (size_t i = 0; i < s->n; i++) {
		const struct trainer *t = s->items[i].trainer;
		counted += pages(t->params->n * sizeof(float));
		begin = MAX(begin, pages(t->adapter.start.bytes) * (size_t)pool_threads(t->pool));
		owned = MAX(owned, t->owned_bytes);
	}
	counted += owned;
	return mem_rss() - MIN(counted, mem_rss()) + s->n * LATER_BYTES + begin;
}

/* At other times: while references are made, and while what was forgotten is measured, when the memory of steps and the
 * gradients have gone. */
static size_t most_beside_steps(const struct trainers *s)
{
	const struct trainers_plan *p = &s->plan;
	size_t flat = 0, optim = 0, most = 0, weights = p->weights_bytes;

	for (size_t i = 0; i < s->n; i++) {
		const struct trainer *t = s->items[i].trainer;
		flat += pages(t->params->n * sizeof(float)) + pages(past_bytes(t));
		optim += pages(t->optim.bytes) + pages(penalty_bytes(t));
		if (t->forgetting.n)
			weights = MAX(weights, t->forgetting.weights_bytes);
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct trainer *t = s->items[i].trainer;
		size_t start = MAX(t->reference_bytes, t->past_start_bytes) + s->memory->arena_bytes +
		               s->memory->scratch_bytes,
		       end = t->forgetting.n ? optim + t->forgetting.bytes : 0;
		most = MAX(most, MAX(start, end));
	}
	return weights + p->base_bytes + flat + most;
}

static void make_plan(struct trainers *s)
{
	struct trainers_plan *p = &s->plan;

	*p = (struct trainers_plan){ 0 };
	for (size_t i = 0; i < s->n; i++) {
		share_time(&s->items[i]);
		add_times(s, &s->items[i]);
	}
	add_memory(s);
	p->base_bytes = base_bytes(s);
	size_t sum = p->weights_bytes + p->state_bytes + p->arena_bytes + p->scratch_bytes + p->batch_bytes +
	             p->base_bytes;
	p->planned_bytes = MAX(sum, MAX(most_beside_steps(s), mem_rss_peak()));
	p->base_bytes += p->planned_bytes - sum;
	p->open_seconds = clock_seconds() - s->opened;
	p->planned_seconds = p->open_seconds + p->start_seconds + p->step_seconds + p->eval_seconds + p->save_seconds +
	                     p->forgetting_seconds;
}

/* As many places as passes of their mean have room for. */
static void find_small(struct trainers *s)
{
	double rows = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		double mean = dry_run_mean(&s->items[i].trainer->dry).rows;
		s->items[i].joins = s->n > 1 && mean <= FEW_ROWS;
		s->items[i].place = 0;
		rows += s->items[i].joins ? mean : 0;
		n += s->items[i].joins;
	}
	double most = (double)MIN(n, (size_t)GEMM_TOGETHER);
	s->places = n ? (size_t)MIN(TOGETHER_ROWS * (double)n / rows, most) : 1;
	for (size_t i = 0, k = 0; i < s->n; i++)
		if (s->items[i].joins)
			s->items[i].place = k++ % s->places;
}

int trainers_settle(struct trainers *s, struct err *e)
{
	if (!s->n || s->started)
		BUG("%zu trainers settled", s->n);
	find_small(s);
	if (find_alike(s, e) < 0)
		return -1;
	make_plan(s);
	return 0;
}

/* --- starting --- */

static int check_machine(const struct trainers *s, struct err *e)
{
	size_t memory = mem_rss() + mem_available();
	char a[32], b[32];

	if (s->plan.planned_bytes > memory)
		return err_set(e, "these %zu together need %s of memory, the machine has %s; --memory has fewer of "
		                  "them together", s->n, human_bytes(s->plan.planned_bytes, a), human_bytes(memory, b));
	for (size_t i = 0; i < s->n; i++)
		if (trainer_check_disk(s->items[i].trainer, e) < 0)
			return -1;
	return 0;
}

int trainers_start(struct trainers *s, struct err *e)
{
	if (check_machine(s, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		if (trainer_begin(s->items[i].trainer, e) < 0)
			return -1;
	for (size_t i = 0; i < s->n_belows; i++)
		if (model_pass_start(&s->belows[i].net, NULL, e) < 0)
			return -1;
	for (size_t i = 0; i < s->n; i++) {
		struct trainer *t = s->items[i].trainer;
		t->net.pass.shared = &s->memory[s->items[i].place];
		if (trainer_take(t, e) < 0)
			return -1;
	}
	s->started = true;
	return 0;
}

/* --- a step --- */

/* Of what blocks read of a micro-batch: its rows and the forest that they are. */
static bool alike(const struct batch *a, const struct batch *b)
{
	size_t n = (size_t)a->n_rows;

	if (a->n_rows != b->n_rows || a->n_segments != b->n_segments || a->n_trees != b->n_trees)
		return false;
	for (int32_t i = 0; i < a->n_segments; i++) {
		const struct segment *x = &a->segments[i], *y = &b->segments[i];
		if (x->start != y->start || x->len != y->len || x->parent != y->parent || x->pos0 != y->pos0)
			return false;
	}
	return !memcmp(a->ids, b->ids, n * sizeof(*a->ids)) && !memcmp(a->type, b->type, n * sizeof(*a->type));
}

/* The small passes from `first` on that are `in`, as many as there is room for; *next: the first that had none. */
static int run_small(struct trainers *s, const bool *in, size_t first, size_t *next)
{
	struct run *runs[GEMM_TOGETHER];
	const struct batch *batches[GEMM_TOGETHER];
	bool taken[GEMM_TOGETHER] = { false };
	size_t n = 0, rows = 0, i;

	for (i = first; i < s->n; i++) {
		struct one *o = &s->items[i];
		struct pass *p = &o->trainer->net.pass;
		if (!in[i] || !o->joins)
			continue;
		rows += (size_t)p->batch.n_rows;
		if (taken[o->place] || (n && rows > TOGETHER_ROWS))
			break;
		taken[o->place] = true;
		runs[n] = &p->run;
		batches[n++] = &p->batch;
	}
	*next = i;
	if (n && run_step_all(runs, batches, n) < 0)
		return -1;
	for (i = first; i < *next; i++)
		if (in[i] && s->items[i].joins)
			step_add(s->items[i].trainer); /* before another's pass takes its memory */
	return 0;
}

/* The passes of those that are `in`: the small ones together. */
static int run_passes(struct trainers *s, const bool *in)
{
	for (size_t i = 0; i < s->n; i++) {
		struct one *o = &s->items[i];
		if (!in[i])
			continue;
		o->waits = false;
		if (o->joins)
			continue;
		if (pass_step(&o->trainer->net.pass) < 0)
			return -1;
		step_add(o->trainer);
	}
	for (size_t i = 0; i < s->n; )
		if (run_small(s, in, i, &i) < 0)
			return -1;
	return 0;
}

/* The blocks below, of the micro-batch of `first` and of those after it that are alike; then what is above them. */
static int run_alike(struct trainers *s, size_t first)
{
	struct below *b = s->items[first].below;
	const struct batch *batch = &s->items[first].trainer->net.pass.batch;
	struct live live = batch_live(batch);
	struct work work = pass_work(&b->net.pass, &live);
	bool in[TRAINERS_MOST] = { false };
	size_t with = 0;

	if (run_step(&b->net.pass.run, batch) < 0)
		return -1;
	for (size_t i = first; i < s->n; i++) {
		const struct one *o = &s->items[i];
		in[i] = o->waits && o->below == b && (i == first || alike(batch, &o->trainer->net.pass.batch));
		with += in[i];
	}
	for (size_t i = first; i < s->n; i++) {
		struct trainer *t = s->items[i].trainer;
		if (!in[i])
			continue;
		t->now.work.flops += work.flops / (double)with;
		t->now.work.int_ops += work.int_ops / (double)with;
		run_bind(&t->net.pass.run, t->below, b->net.pass.run.data[b->net.result]);
	}
	return run_passes(s, in);
}

/* The next micro-batch of each that has one. 1: there is none any more, −1: given up. */
static int run_round(struct trainers *s, const bool *which)
{
	bool whole[TRAINERS_MOST] = { false }, any = false;

	for (size_t i = 0; i < s->n; i++) {
		struct trainer *t = s->items[i].trainer;
		s->items[i].waits = which[i] && t->now.micro < t->now.micros;
		if (s->items[i].waits)
			step_fill(t);
		any |= s->items[i].waits;
		whole[i] = s->items[i].waits && !s->items[i].below;
	}
	if (run_passes(s, whole) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].waits && run_alike(s, i) < 0)
			return -1;
	return any ? 0 : 1;
}

/* The time of all, by what each has had computed. */
static void share_seconds(const struct trainers *s, const bool *which, struct step_metrics *m, double seconds)
{
	double all = 0;

	for (size_t i = 0; i < s->n; i++)
		all += which[i] ? m[i].flops : 0;
	for (size_t i = 0; i < s->n; i++)
		if (which[i])
			m[i].seconds = all > 0 ? seconds * m[i].flops / all : 0;
}

static int begin_all(struct trainers *s, const bool *which, struct err *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (which[i] && step_begin(s->items[i].trainer, e) < 0)
			return -1;
	return 0;
}

static int run_rounds(struct trainers *s, const bool *which)
{
	struct err ignored = ERR_INIT;
	int status;

	while ((status = run_round(s, which)) == 0)
		;
	for (size_t i = 0; i < s->n && status > 0; i++)
		if (which[i] && step_more(s->items[i].trainer, &ignored) < 0)
			status = -1;
	for (size_t i = 0; i < s->n && status < 0; i++)
		if (which[i])
			step_forget(s->items[i].trainer);
	return status < 0 ? -1 : 0;
}

int trainers_step(struct trainers *s, const bool *which, struct step_metrics *m, struct err *failed, struct err *e)
{
	double begin = clock_seconds();

	if (!s->started)
		BUG("a step of trainers that have not started");
	if (begin_all(s, which, e) < 0)
		return -1;
	mem_guard_arm();
	int status = run_rounds(s, which);
	for (size_t i = 0; i < s->n && !status; i++) {
		if (!which[i])
			continue;
		failed[i].msg[0] = '\0';
		step_end(s->items[i].trainer, &failed[i]);
		m[i] = s->items[i].trainer->now.metrics;
	}
	mem_guard_disarm();
	for (size_t i = 0; i < s->n; i++)
		if (which[i])
			look_say(s->items[i].trainer);
	if (status)
		return err_set(e, "interrupted while a step was computed");
	share_seconds(s, which, m, clock_seconds() - begin);
	return 0;
}

/* --- the end --- */

static void release_memory(struct trainers *s)
{
	for (size_t i = 0; i < GEMM_TOGETHER; i++)
		run_memory_release(&s->memory[i]);
}

void trainers_rest(struct trainers *s)
{
	for (size_t i = 0; i < s->n; i++)
		pass_stop(&s->items[i].trainer->net.pass);
	for (size_t i = 0; i < s->n_belows; i++)
		pass_stop(&s->belows[i].net.pass);
	release_memory(s);
}

void trainers_free(struct trainers *s)
{
	if (!s)
		return;
	release_belows(s);
	while (s->n)
		trainer_close(s->items[--s->n].trainer);
	release_memory(s);
	mem_free(s->items);
	mem_free(s);
	mem_trim(); /* what comes next is planned by what is resident */
}
