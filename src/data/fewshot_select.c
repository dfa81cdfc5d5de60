/* fewshot_select: which examples, and in which order. A choice for all rows is an order of all examples, of which a row
 * takes the first that are not itself; a choice for each row is such an order by how near they are to it. */
#include "data/fewshot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/py_random.h"
#include "base/rng.h"
#include "base/stop.h"
#include "data/fewshot_parts.h"

enum { ORDERS_MOST = 1 << 20 };

static const char *const selects[] = { "first",     "random",  "random-each", "bm25",
	                               "embedding", "diverse", "balanced" };
static const char *const orders[] = { "given", "reverse", "similar-last" };

static int find(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -1;
}

int fewshot_select_of(const char *name) { return find(selects, ARRAY_LEN(selects), name); }

int fewshot_order_of(const char *name) { return find(orders, ARRAY_LEN(orders), name); }

static bool is_each(const struct fewshot_pool *p)
{
	return p->o.select == FEWSHOT_RANDOM_EACH || p->o.select == FEWSHOT_BM25 || p->o.select == FEWSHOT_EMBEDDING;
}

bool fewshot_wants_vectors(const struct fewshot_pool *p)
{
	bool near = p->o.select == FEWSHOT_DIVERSE || p->o.order == FEWSHOT_SIMILAR_LAST;

	return p->rows && p->o.num && (p->o.select == FEWSHOT_EMBEDDING || (near && p->o.embedder));
}

static bool wants_words(const struct fewshot_pool *p)
{
	bool near = p->o.select == FEWSHOT_DIVERSE || p->o.order == FEWSHOT_SIMILAR_LAST;

	return p->o.select == FEWSHOT_BM25 || (near && !p->o.embedder && p->o.select != FEWSHOT_EMBEDDING);
}

/* --- how near --- */

static double dot(const float *a, const float *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

static int embed_one(const struct fewshot_pool *p, const char *text, float *out, struct err *e)
{
	return p->o.embedder->embed(p->o.embedder->ctx, &text, 1, out, e);
}

/* Of each example to a question. */
static int nearness(const struct fewshot_pool *p, const struct fewshot_key *key, const float *vector, double *score,
                    struct err *e)
{
	size_t width = p->vectors ? p->o.embedder->width : 0;
	float *own = NULL;
	int status = 0;

	if (!p->vectors) {
		bm25_score(p->words, key->text, strlen(key->text), score);
		return 0;
	}
	if (!vector) {
		own = mem_array(width, sizeof(*own));
		status = embed_one(p, key->text, own, e);
		vector = own;
	}
	for (size_t i = 0; i < p->rows->n && status == 0; i++)
		score[i] = dot(p->vectors + i * width, vector, width);
	mem_free(own);
	return status;
}

/* --- orders of all examples --- */

/* Those that stand in out[0..from), then the others as they come. */
static void fill_up(size_t *out, size_t from, size_t n)
{
	bool *taken = mem_array(n, sizeof(*taken));

	for (size_t i = 0; i < from; i++)
		taken[out[i]] = true;
	for (size_t i = 0; i < n; i++)
		if (!taken[i])
			out[from++] = i;
	mem_free(taken);
}

static void order_random(const struct fewshot_pool *p, size_t k, size_t *out)
{
	struct mt19937 g;

	py_random_seed(&g, p->o.seed);
	py_random_sample(&g, p->rows->n, k, out);
	fill_up(out, k, p->rows->n);
}

/* A class after the other in turn, each in the order of random. */
static void order_balanced(const struct fewshot_pool *p, size_t *out)
{
	size_t n = p->rows->n, *order = mem_array(n, sizeof(*order)), *turn = mem_array(n, sizeof(*turn)), at = 0;

	order_random(p, n, order);
	for (size_t i = 0; i < n; i++)      /* the how many of its class it is */
		for (size_t j = 0; j < i; j++)
			if (!strcmp(p->keys[order[j]].answer, p->keys[order[i]].answer))
				turn[i] = turn[j] + 1;
	for (size_t round = 0; at < n; round++)
		for (size_t i = 0; i < n; i++)
			if (turn[i] == round)
				out[at++] = order[i];
	mem_free(order);
	mem_free(turn);
}

/* How near example i is to each, by what there is. */
static void near_example(const struct fewshot_pool *p, size_t i, double *score)
{
	size_t width = p->vectors ? p->o.embedder->width : 0;

	if (!p->vectors)
		bm25_score(p->words, p->keys[i].text, strlen(p->keys[i].text), score);
	for (size_t j = 0; j < p->rows->n && p->vectors; j++)
		score[j] = dot(p->vectors + i * width, p->vectors + j * width, width);
	double self = score[i] > 0 ? score[i] : 1;
	for (size_t j = 0; j < p->rows->n; j++)
		score[j] /= self;
}

/* The one to begin with: the nearest to the mean of all vectors; by words the first. */
static size_t middle(const struct fewshot_pool *p)
{
	size_t width = p->vectors ? p->o.embedder->width : 0, best = 0;
	float *mean = mem_array(width, sizeof(*mean));

	for (size_t i = 0; i < p->rows->n; i++)
		for (size_t j = 0; j < width; j++)
			mean[j] += p->vectors[i * width + j];
	for (size_t i = 1; i < p->rows->n && width; i++)
		if (dot(p->vectors + i * width, mean, width) > dot(p->vectors + best * width, mean, width))
			best = i;
	mem_free(mean);
	return best;
}

/* The first `most` of the order, then the others as they come. */
static int order_diverse(const struct fewshot_pool *p, size_t most, size_t *out, struct err *e)
{
	size_t n = p->rows->n;
	double *score = mem_array(n, sizeof(*score)), *nearest = mem_array(n, sizeof(*nearest));
	int status = 0;

	out[0] = middle(p);
	for (size_t i = 0; i < n; i++)
		nearest[i] = -INFINITY;
	for (size_t k = 1; k < MIN(most, n) && status == 0; k++) {
		near_example(p, out[k - 1], score);
		nearest[out[k - 1]] = INFINITY;
		size_t best = 0;
		for (size_t i = 0; i < n; i++) {
			nearest[i] = fmax(nearest[i], score[i]);
			best = nearest[i] < nearest[best] ? i : best;
		}
		out[k] = best;
		status = stop_look(e, "examples were selected");
	}
	fill_up(out, MIN(most, n), n);
	mem_free(score);
	mem_free(nearest);
	return status;
}

/* --- the whole --- */

static int make_vectors(struct fewshot_pool *p, struct err *e)
{
	size_t n = p->rows->n, width = p->o.embedder->width;
	const char **texts = mem_array(n, sizeof(*texts));

	p->vectors = mem_array(n * width, sizeof(*p->vectors));
	for (size_t i = 0; i < n; i++)
		texts[i] = p->keys[i].text;
	int status = p->o.embedder->embed(p->o.embedder->ctx, texts, n, p->vectors, e);
	mem_free(texts);
	return status;
}

static int make_order(struct fewshot_pool *p, struct err *e)
{
	size_t n = p->rows->n;

	p->fixed = mem_array(n, sizeof(*p->fixed));
	p->n_fixed = n;
	if (p->o.select == FEWSHOT_DIVERSE)
		return order_diverse(p, p->o.num + 1, p->fixed, e);
	if (p->o.select == FEWSHOT_RANDOM)
		order_random(p, p->o.num, p->fixed);
	else if (p->o.select == FEWSHOT_BALANCED)
		order_balanced(p, p->fixed);
	else
		fill_up(p->fixed, 0, n);
	return 0;
}

size_t fewshot_orders(size_t num, enum fewshot_order order)
{
	size_t n = 1;

	for (size_t i = 2; order != FEWSHOT_SIMILAR_LAST && i <= num && n < ORDERS_MOST; i++)
		n *= i;
	return MIN(n, (size_t)ORDERS_MOST);
}

/* The shuffle-th order that is not one before it, the given one first. */
static void turn_round(struct fewshot_pool *p)
{
	size_t n = p->o.num, wanted = (size_t)p->o.shuffle, found = 0;
	size_t *all = mem_array((wanted + 1) * n, sizeof(*all));

	if (wanted >= fewshot_orders(n, p->o.order))
		BUG("%zu examples have no order %zu", n, wanted);
	for (size_t i = 0; i < n; i++)
		all[i] = i;
	for (uint64_t draw = 1; found < wanted; draw++) {
		size_t *next = all + (found + 1) * n, same = 0;
		for (size_t i = 0; i < n; i++)
			next[i] = rng_permute((struct rng_key){ draw, RNG_SHUFFLE }, 0, n, i);
		while (same <= found && memcmp(all + same * n, next, n * sizeof(*all)) != 0)
			same++;
		found += same > found;
	}
	p->turned = mem_array(n, sizeof(*p->turned));
	memcpy(p->turned, all + wanted * n, n * sizeof(*all));
	mem_free(all);
}

int fewshot_pool_begin(struct fewshot_pool *p, struct err *e)
{
	if (p->o.select == FEWSHOT_EMBEDDING && !p->o.embedder)
		BUG("examples by vectors without what makes them");
	if (p->rows->n < p->o.num)
		return err_set(e, "--num-fewshot %zu: the examples are %zu rows", p->o.num, p->rows->n);
	py_random_seed(&p->random, p->o.seed);
	if (p->o.shuffle)
		turn_round(p);
	if (wants_words(p)) {
		p->words = bm25_new();
		for (size_t i = 0; i < p->rows->n; i++)
			bm25_add(p->words, p->keys[i].text, strlen(p->keys[i].text));
	}
	if (fewshot_wants_vectors(p) && make_vectors(p, e) < 0)
		return -1;
	return is_each(p) ? 0 : make_order(p, e);
}

static bool is_self(const struct fewshot_pool *p, const struct fewshot_key *key, size_t i)
{
	return key && key->hash == p->keys[i].hash && !strcmp(key->same, p->keys[i].same);
}

/* lm-eval's draw for a document: one more where it may be among them; again without it where that left too few. */
static size_t draw_each(struct fewshot_pool *p, const struct fewshot_key *key, bool same, size_t *out)
{
	size_t n = p->rows->n, k = MIN(p->o.num + (same ? 1 : 0), n), kept = 0;
	size_t *drawn = mem_array(n, sizeof(*drawn)), *others = mem_array(n, sizeof(*others)), n_others = 0;

	py_random_sample(&p->random, n, k, drawn);
	for (size_t i = 0; i < k && kept < p->o.num; i++)
		if (!is_self(p, key, drawn[i]))
			out[kept++] = drawn[i];
	for (size_t i = 0; i < n; i++)
		if (!is_self(p, key, i))
			others[n_others++] = i;
	if (kept < p->o.num && n_others >= p->o.num) {
		py_random_sample(&p->random, n_others, p->o.num, drawn);
		for (kept = 0; kept < p->o.num; kept++)
			out[kept] = others[drawn[kept]];
	}
	mem_free(drawn);
	mem_free(others);
	return kept;
}

/* The nearest that are not the row, of equally near ones the first; how many there are. */
static size_t take_nearest(const struct fewshot_pool *p, const struct fewshot_key *key, const double *score,
                           size_t *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->rows->n; i++) {
		if ((kept == p->o.num && !(score[i] > score[out[kept - 1]])) || is_self(p, key, i))
			continue;
		size_t at = kept < p->o.num ? kept++ : kept - 1;
		for (; at && score[i] > score[out[at - 1]]; at--)
			out[at] = out[at - 1];
		out[at] = i;
	}
	return kept;
}

static size_t take_first(const struct fewshot_pool *p, const struct fewshot_key *key, size_t *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_fixed && kept < p->o.num; i++)
		if (!is_self(p, key, p->fixed[i]))
			out[kept++] = p->fixed[i];
	return kept;
}

/* The examples by their order, given or by how near they are. */
static void arrange(const struct fewshot_pool *p, const double *score, size_t *out)
{
	size_t n = p->o.num;
	size_t *was = mem_array(n, sizeof(*was));

	memcpy(was, out, n * sizeof(*was));
	for (size_t i = 0; i < n && p->turned; i++)
		out[i] = was[p->turned[i]];
	memcpy(was, out, n * sizeof(*was));
	for (size_t i = 0; i < n && p->o.order == FEWSHOT_REVERSE; i++)
		out[i] = was[n - 1 - i];
	for (size_t i = 1; i < n && p->o.order == FEWSHOT_SIMILAR_LAST && score; i++)
		for (size_t j = i; j && score[out[j - 1]] > score[out[j]]; j--) {
			size_t swap = out[j];
			out[j] = out[j - 1];
			out[j - 1] = swap;
		}
	mem_free(was);
}

static int too_few(const struct fewshot_pool *p, struct err *e)
{
	return err_set(e, "--num-fewshot %zu: the examples are %zu rows, without the row itself fewer than that",
	               p->o.num, p->rows->n);
}

int fewshot_choose(struct fewshot_pool *p, const struct fewshot_key *key, const float *vector, bool same, size_t *out,
                   struct err *e)
{
	bool drawn = p->o.select == FEWSHOT_RANDOM_EACH, nearest = is_each(p) && !drawn;
	bool near = key && (p->o.order == FEWSHOT_SIMILAR_LAST || nearest);
	double *score = near ? mem_array(p->rows->n, sizeof(*score)) : NULL;
	int status = near ? nearness(p, key, vector, score, e) : 0;
	size_t kept = 0;

	if (status == 0) {
		kept = drawn ? draw_each(p, key, same, out) :
		       nearest ? take_nearest(p, key, score, out) :
		                 take_first(p, key, out);
		status = kept < p->o.num ? too_few(p, e) : 0;
	}
	if (status == 0)
		arrange(p, score, out);
	mem_free(score);
	return status;
}

void fewshot_pool_release(struct fewshot_pool *p)
{
	for (size_t i = 0; p->keys && i < p->rows->n; i++)
		fewshot_key_release(&p->keys[i]);
	mem_free(p->keys);
	mem_free(p->fixed);
	mem_free(p->turned);
	mem_free(p->vectors);
	bm25_free(p->words);
	*p = (struct fewshot_pool){ 0 };
}
