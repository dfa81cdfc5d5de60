/* index_search: BM25 over segments, vectors scanned whole, both lists as one. See index.h. */
#include "retrieve/index.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "retrieve/bm25.h"
#include "retrieve/index_parts.h"
#include "retrieve/words.h"

const char *const retriever_names[RETRIEVERS] = {
	[RETRIEVER_BM25] = "bm25", [RETRIEVER_DENSE] = "dense", [RETRIEVER_HYBRID] = "hybrid"
};

/* --- BM25 --- */

/* Chunks that live and have word w of a segment. */
static size_t chunks_with(const struct index *x, size_t k, int64_t w)
{
	const struct postings *p = &x->segment[k];
	size_t n = p->first[w + 1] - p->first[w];

	if (x->live == (size_t)x->places)
		return n;
	for (uint32_t i = p->first[w]; i < p->first[w + 1]; i++)
		n -= x->dead[x->first[k] + p->chunk[i]];
	return n;
}

static void add_segment(const struct index *x, size_t k, int64_t w, float idf)
{
	const struct postings *p = &x->segment[k];
	float *restrict score = x->score + x->first[k];
	const float *restrict norm = x->norm + x->first[k];

	for (uint32_t i = p->first[w]; i < p->first[w + 1]; i++) {
		uint32_t chunk = p->chunk[i];
		float f = (float)p->count[i];
		score[chunk] += idf * f / (f + norm[chunk]);
	}
}

static void add_word(struct index *x, const char *word, size_t n, int64_t *place)
{
	size_t with = 0;

	for (size_t k = 0; k < x->n_segments; k++) {
		place[k] = postings_find(&x->segment[k], word, n);
		with += place[k] >= 0 ? chunks_with(x, k, place[k]) : 0;
	}
	float idf = (float)bm25_idf((double)x->live, (double)with);
	for (size_t k = 0; k < x->n_segments && with; k++)
		if (place[k] >= 0)
			add_segment(x, k, place[k], idf);
}

static void score_words(struct index *x, const struct index_query *q)
{
	struct buf lower = BUF_INIT;
	int64_t *place = mem_array(x->n_segments + 1, sizeof(*place));
	const char *word;
	size_t at = 0, n;

	memset(x->score, 0, (size_t)x->places * sizeof(*x->score));
	word_lower(&lower, q->text, q->n);
	while ((word = word_next(buf_str(&lower), lower.len, &at, &n)))
		if (!word_is_stop(word, n))
			add_word(x, word, n, place);
	mem_free(place);
	buf_release(&lower);
}

/* --- the best --- */

/* The k largest scores above `least` of those that were offered, of equals the earlier. */
struct top {
	const struct index *x;
	const uint8_t *allowed;
	float least;
	size_t k, n;
	struct index_hit *hits;
};

static inline void offer(struct top *t, uint32_t i)
{
	float s = t->x->score[i];

	if (!(s > t->least) || t->x->dead[i] || (t->allowed && !t->allowed[i]))
		return;
	size_t at = t->n < t->k ? t->n++ : t->n - 1;
	for (; at > 0 && (double)s > t->hits[at - 1].score; at--)
		t->hits[at] = t->hits[at - 1];
	t->hits[at] = (struct index_hit){ i, (double)s };
	if (t->n == t->k)
		t->least = (float)t->hits[t->n - 1].score;
}

static void offer_from(struct top *t, uint32_t first)
{
	for (uint32_t i = first; i < (size_t)t->x->places; i++)
		offer(t, i);
}

static size_t by_words(struct index *x, const struct index_query *q, size_t k, struct index_hit *hits)
{
	struct top t = { x, q->allowed, 0, k, 0, hits };

	score_words(x, q);
	offer_from(&t, 0);
	return t.n;
}

static size_t by_vectors(struct index *x, const struct index_query *q, size_t k, struct pool *pool,
                         struct index_hit *hits)
{
	const struct vectors_form f = index_form(x);
	struct top t = { x, q->allowed, -INFINITY, k, 0, hits };
	bool lists = x->near.head.lists && !q->exact && !q->allowed;
	uint32_t first = lists ? x->near.head.rows : 0;

	if (!q->vector || !f.width)
		BUG("a search by vectors without them");
	if (lists) {
		size_t n = ivf_near(&x->near, x->kernels, q->vector, x->candidate);
		vectors_scan_rows(&f, x->kernels, x->vectors.data, x->candidate, n, q->vector, pool, x->score);
		for (size_t i = 0; i < n; i++)
			offer(&t, x->candidate[i]);
	}
	if (first < (size_t)x->places)
		vectors_scan(&f, x->kernels, x->vectors.data, first, (size_t)x->places, q->vector, pool, x->score);
	offer_from(&t, first);
	return t.n;
}

/* --- both --- */

static size_t add_ranks(struct index_hit *all, size_t n, const struct index_hit *list, size_t m)
{
	for (size_t i = 0; i < m; i++) {
		size_t j = 0;
		while (j < n && all[j].chunk != list[i].chunk)
			j++;
		if (j == n)
			all[n++] = (struct index_hit){ list[i].chunk, 0 };
		all[j].score += 1 / (double)(RRF_K + i + 1);
	}
	return n;
}

static void sort_hits(struct index_hit *hits, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct index_hit h = hits[i];
		size_t at = i;
		for (; at > 0 && (h.score > hits[at - 1].score ||
		                  (h.score >= hits[at - 1].score && h.chunk < hits[at - 1].chunk)); at--)
			hits[at] = hits[at - 1];
		hits[at] = h;
	}
}

/* all: room for 2k. */
static size_t by_both(struct index *x, const struct index_query *q, size_t k, struct pool *pool, struct index_hit *all)
{
	struct index_hit *list = mem_array(k, sizeof(*list));
	size_t n = add_ranks(all, 0, list, by_words(x, q, k, list));

	n = add_ranks(all, n, list, by_vectors(x, q, k, pool, list));
	sort_hits(all, n);
	mem_free(list);
	return MIN(n, k);
}

/* --- far from each other --- */

/* The next of hits[taken …] to come; relevance as a share of the best one's. */
static size_t next_of(const struct index *x, const struct index_query *q, const struct index_hit *hits, size_t taken,
                      size_t n, double top)
{
	const struct vectors_form f = index_form(x);
	size_t best_at = taken;
	double best_value = -INFINITY;

	for (size_t i = taken; i < n; i++) {
		double like = 0;
		for (size_t j = 0; j < taken; j++)
			like = fmax(like, vectors_likeness(&f, x->kernels, x->vectors.data, hits[i].chunk,
			                                   hits[j].chunk));
		double value = q->mmr * hits[i].score / top - (1 - q->mmr) * like;
		if (value > best_value) {
			best_value = value;
			best_at = i;
		}
	}
	return best_at;
}

static void spread(const struct index *x, const struct index_query *q, struct index_hit *hits, size_t n)
{
	double top = n && hits[0].score > 0 ? hits[0].score : 1;

	for (size_t i = 0; i < MIN(n, q->top_k); i++) {
		size_t at = next_of(x, q, hits, i, n, top);
		struct index_hit h = hits[at];
		memmove(hits + i + 1, hits + i, (at - i) * sizeof(*hits));
		hits[i] = h;
	}
}

/* --- the whole --- */

size_t index_search(struct index *x, const struct index_query *q, struct pool *pool, struct index_hit *hits)
{
	bool far = q->mmr < 1 && x->settings.width;
	size_t k = far || q->retriever == RETRIEVER_HYBRID ? MAX(q->top_k, (size_t)CANDIDATES) : q->top_k;
	struct index_hit *all = mem_array(2 * k + 1, sizeof(*all));
	size_t n = !q->top_k                         ? 0 :
	           q->retriever == RETRIEVER_BM25  ? by_words(x, q, k, all) :
	           q->retriever == RETRIEVER_DENSE ? by_vectors(x, q, k, pool, all) : by_both(x, q, k, pool, all);

	if (far)
		spread(x, q, all, n);
	n = MIN(n, q->top_k);
	memcpy(hits, all, n * sizeof(*hits));
	mem_free(all);
	return n;
}

int retriever_of(const char *name, const struct index *x, enum retriever *out, struct err *e)
{
	bool vectors = index_settings(x)->width > 0;

	*out = !strcmp(name, "auto") ? (vectors ? RETRIEVER_HYBRID : RETRIEVER_BM25) : RETRIEVER_BM25;
	for (int i = 0; i < RETRIEVERS; i++)
		if (!strcmp(name, retriever_names[i]))
			*out = (enum retriever)i;
	if (*out != RETRIEVER_BM25 && !vectors)
		return err_set(e, "--retriever %s: the index has words alone; kungfu index build --embedder makes "
		               "vectors too", name);
	return 0;
}

int index_filter(struct index *x, const char *field, const char *value, uint8_t *allowed, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x,
	                                "SELECT c.number FROM chunk c JOIN document d ON d.number = c.document WHERE "
	                                "CASE ?1 WHEN 'id' THEN d.id WHEN 'source' THEN d.source WHEN 'title' THEN "
	                                "d.title ELSE CAST(json_extract(d.fields, '$.\"' || ?1 || '\"') AS TEXT) END = "
	                                "?2", e);
	int step = SQLITE_DONE;

	if (!s)
		return -1;
	memset(allowed, 0, (size_t)x->places);
	sqlite3_bind_text(s, 1, field, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC);
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		int64_t n = sqlite3_column_int64(s, 0);
		if (n >= 0 && n < x->places)
			allowed[n] = 1;
	}
	sqlite3_finalize(s);
	return step == SQLITE_DONE ? 0 : index_error(x, "cannot be read", e);
}
