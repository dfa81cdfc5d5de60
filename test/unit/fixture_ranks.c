/* fixture_ranks: see fixture_ranks.h. */
#include "fixture_ranks.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static struct rank_hub *hub_of(struct ranks *r) { return r->own; }

/* own[0]: the rank that it is of. */
static bool meet(const struct rank_transfer *a, const struct rank_transfer *b)
{
	return a->tag == b->tag && a->receives != b->receives && a->peer == (int)(intptr_t)b->own[0] &&
	       b->peer == (int)(intptr_t)a->own[0];
}

static void copy(struct rank_transfer *a, struct rank_transfer *b)
{
	struct rank_transfer *to = a->receives ? a : b, *from = a->receives ? b : a;

	if (to->bytes != from->bytes)
		BUG("a message of %zu bytes under tag %d, %zu were expected", from->bytes, from->tag, to->bytes);
	memcpy(to->data, from->data, to->bytes);
	a->left = b->left = 0;
}

static void begin(struct ranks *r, struct rank_transfer *x)
{
	struct rank_hub *h = hub_of(r);
	struct rank_transfer **at = &h->waiting;

	pthread_mutex_lock(&h->lock);
	x->own[0] = (void *)(intptr_t)r->rank;
	x->left = 1;
	while (h->gone < 0 && *at && !meet(*at, x))
		at = &(*at)->next;
	if (h->gone >= 0) {
		; /* nobody waits any more: the others' memory may have gone */
	} else if (*at) {
		struct rank_transfer *other = *at;
		*at = other->next;
		copy(x, other);
		pthread_cond_broadcast(&h->moved);
	} else {
		*at = x;
	}
	pthread_mutex_unlock(&h->lock);
}

static int wait_for(struct ranks *r, struct rank_transfer *x, struct err *e)
{
	struct rank_hub *h = hub_of(r);

	pthread_mutex_lock(&h->lock);
	while (x->left && h->gone < 0)
		pthread_cond_wait(&h->moved, &h->lock);
	int status = x->left ? err_set(e, "rank %d has gone", h->gone) : 0;
	pthread_mutex_unlock(&h->lock);
	return status;
}

static void close_row(struct ranks *r, bool failed)
{
	(void)r;
	(void)failed;
}

static const struct ranks_row row = { .name = "threads", .begin = begin, .wait = wait_for, .close = close_row };

void hub_init(struct rank_hub *h, int size)
{
	*h = (struct rank_hub){ .size = size, .gone = -1 };
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->moved, NULL);
	for (int k = 0; k < size; k++) {
		h->ranks[k] = (struct ranks){ .row = &row, .rank = k, .size = size, .own = h };
		ranks_init(&h->ranks[k]);
	}
}

void hub_release(struct rank_hub *h)
{
	for (int k = 0; k < h->size; k++)
		mem_free(h->ranks[k].spare);
	pthread_cond_destroy(&h->moved);
	pthread_mutex_destroy(&h->lock);
}

void hub_lose(struct rank_hub *h, int rank)
{
	pthread_mutex_lock(&h->lock);
	h->gone = rank;
	pthread_cond_broadcast(&h->moved);
	pthread_mutex_unlock(&h->lock);
}

struct one { pthread_t thread; struct ranks *ranks; void (*body)(void *ctx, struct ranks *r); void *ctx; };

static void *run_one(void *of)
{
	struct one *o = of;

	o->body(o->ctx, o->ranks);
	return NULL;
}

void hub_run(struct rank_hub *h, void (*body)(void *ctx, struct ranks *r), void *ctx)
{
	struct one all[RANKS_MOST];

	for (int k = 0; k < h->size; k++) {
		all[k] = (struct one){ .ranks = &h->ranks[k], .body = body, .ctx = ctx };
		if (pthread_create(&all[k].thread, NULL, run_one, &all[k]))
			BUG("no thread for rank %d", k);
	}
	for (int k = 0; k < h->size; k++)
		pthread_join(all[k].thread, NULL);
}

/* --- training --- */

static int lead_all(struct trainer *t, struct err *e)
{
	struct step_metrics m;

	while (!trainer_done(t))
		if (trainer_step(t, &m, e) < 0)
			return -1;
	return 0;
}

static void member(void *ctx, struct ranks *r)
{
	static const struct log_sink nobody = { 0 };
	struct crew *c = ctx;
	struct recipe recipe = c->job->recipe;
	struct pool *pool = pool_new(1 + r->rank % 2);
	struct device d = device_cpu(kernels_get(NULL, NULL), pool);
	struct trainer *t = NULL;
	struct err *e = &c->err[r->rank];

	log_lend(&nobody);
	r->tells = c->tells;
	recipe.ranks = r;
	int status = trainer_open(&t, &recipe, &d, e);
	if (!status)
		status = trainer_start(t, e);
	status = ranks_agree(r, status, NULL, e);
	if (!status)
		status = r->rank ? trainer_follow(t, e) : c->lead ? c->lead(c->ctx, t, e) : lead_all(t, e);
	if (!status)
		params_hash(trainer_params(t), c->hex[r->rank]);
	ranks_close(r, false);
	trainer_close(t);
	pool_free(pool);
}

void crew_run(struct crew *c, int size)
{
	hub_init(&c->hub, size);
	hub_run(&c->hub, member, c);
	hub_release(&c->hub);
}

void crew_check(struct test *t, const char *model, const char *data, const char *assignments, int size,
                const char *weights)
{
	struct crew c = { .job = NULL };
	struct job j;

	job_init(t, &j, model, data, assignments);
	c.job = &j;
	crew_run(&c, size);
	for (int k = 0; k < size; k++)
		CHECK_MSG(t, !strcmp(weights, c.hex[k]), "rank %d of %d: %s %s", k, size, c.hex[k], c.err[k].msg);
	job_release(&j);
}
