/* windows: tokens of shards as the documents of a step. See windows.h.
 *
 * A window of T tokens costs T times 5 bytes and its pieces' documents, of all windows of one step; what a step may
 * need at most follows from facts of the shards (the most pieces of a window), so the plan walks over no tokens. What a
 * window costs in the mean, which times depend on, is looked at in at most WINDOWS_LOOKED_AT windows of each source. */
#include "train/windows.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/masking.h"

enum { WINDOWS_LOOKED_AT = 1024 };

/* --- a window --- */

/* Where a window's tokens go. */
struct place {
	struct document *documents;
	int32_t *ids;
	uint8_t *learn;
};

/* As many of its tokens as will be hidden; which they are does not matter yet. */
static int32_t mark_hidden(const struct windows *w, struct document *d)
{
	int32_t there = 0, wanted;

	for (int32_t i = 0; i < d->n; i++)
		there += !tokenizer_is_special(w->o.tokenizer, d->ids[i]);
	wanted = masking_count(w->o.masked, there);
	for (int32_t i = 0, left = wanted; i < d->n; i++) {
		d->learn[i] = left > 0 && !tokenizer_is_special(w->o.tokenizer, d->ids[i]);
		left -= d->learn[i];
	}
	return wanted;
}

/* Piece i of a window, whose ids are there. */
static void make_document(const struct windows *w, const struct place *p, int32_t i, int32_t begin, int32_t n)
{
	struct document *d = &p->documents[i];

	*d = (struct document){ .ids = p->ids + begin, .learn = p->learn + begin, .n = n, .file = w->shards.path,
		                .joined = i > 0, .choice = -1, .adapter = -1 };
	memset(d->learn, 1, (size_t)n);
	d->learn[0] = 0;
	d->n_learn = w->o.masked > 0 ? mark_hidden(w, d) : n - 1;
}

/* Its documents, −1: an id that is none. piece: room for where they begin. */
static int32_t make_window(const struct windows *w, size_t source, enum shards_split split, uint64_t window,
                           int32_t length, const struct place *p, int32_t *piece, struct err *e)
{
	int32_t n = shards_window(&w->shards, source, split, window, length, p->ids, piece, e);

	for (int32_t i = 0; i < n; i++)
		make_document(w, p, i, piece[i], (i + 1 < n ? piece[i + 1] : length) - piece[i]);
	return n;
}

/* --- opening --- */

static int make_mixture(struct windows *w, struct err *e)
{
	const struct shards *s = &w->shards;
	struct mixture_source *sources = mem_array(s->n_sources, sizeof(*sources));

	for (size_t i = 0; i < s->n_sources; i++) {
		const struct shards_source *x = &s->sources[i];
		sources[i] = (struct mixture_source){ x->name, shards_windows(&x->split[SHARDS_TRAIN], w->o.length),
			                              x->weight, x->epochs };
		w->most_pieces = MAX(w->most_pieces, shards_most_pieces(&x->split[SHARDS_TRAIN], w->o.length));
	}
	int status = mixture_make(&w->mixture, sources, s->n_sources, w->o.seed, e);
	mem_free(sources);
	return status;
}

/* The most pieces of a window of what is held out. */
static int32_t held_out_pieces(const struct windows *w)
{
	int32_t most = 1;

	for (size_t i = 0; i < w->shards.n_sources; i++) {
		const struct shards_stream *x = &w->shards.sources[i].split[SHARDS_VALID];
		most = MAX(most, shards_most_pieces(x, (int32_t)MIN((uint64_t)w->o.length, MAX(x->tokens, 1))));
	}
	return most;
}

/* What its documents cost where no token is shared. */
static void live_window(struct live *l, const struct document *docs, int32_t n)
{
	for (int32_t i = 0; i < n; i++) {
		l->rows += docs[i].n;
		l->labels += docs[i].n_learn;
		l->targets += docs[i].n_learn;
		live_see(l, 1, docs[i].n);
	}
}

static int look_at_source(struct windows *w, size_t source, struct live *mean, struct err *e)
{
	uint64_t all = w->mixture.windows[source], n = MIN(all, (uint64_t)WINDOWS_LOOKED_AT);
	struct place p = { w->documents, w->ids, w->learn };
	struct live sum = { 0 };

	for (uint64_t i = 0; i < n; i++) {
		int32_t pieces = make_window(w, source, SHARDS_TRAIN, (uint64_t)((double)i * (double)all / (double)n),
		                             w->o.length, &p, w->piece, e);
		if (pieces < 0)
			return -1;
		live_window(&sum, w->documents, pieces);
	}
	*mean = live_over(&sum, (double)n);
	return 0;
}

/* The means over the mixture. */
static int look(struct windows *w, struct err *e)
{
	double positions = (double)w->mixture.n_positions, tokens = 0;

	for (size_t i = 0; i < w->mixture.n_sources; i++) {
		const struct shards_stream *x = &w->shards.sources[i].split[SHARDS_TRAIN];
		double share = (double)w->mixture.share[i] / positions;
		struct live mean;
		if (look_at_source(w, i, &mean, e) < 0)
			return -1;
		live_add(&w->live, &mean, share);
		tokens += share;
		w->bytes_per_token += share * (double)x->bytes / (double)x->tokens;
	}
	w->bytes_per_token /= tokens;
	return 0;
}

int windows_open(struct windows *w, const char *dir, const struct windows_options *o, struct err *e)
{
	*w = (struct windows){ .o = *o };
	if (shards_open(&w->shards, dir, e) < 0)
		return -1;
	if (shards_check_tokenizer(&w->shards, o->tokenizer, e) < 0 || make_mixture(w, e) < 0) {
		windows_close(w);
		return err_prefix(e, "%s", dir);
	}
	w->piece = mem_array((size_t)MAX(w->most_pieces, held_out_pieces(w)), sizeof(*w->piece));
	windows_room(w, 1);
	if (look(w, e) < 0) {
		windows_close(w);
		return err_prefix(e, "%s", dir);
	}
	return 0;
}

static void release_room(struct windows *w)
{
	mem_free(w->documents);
	mem_free(w->ids);
	mem_free(w->learn);
	w->room = 0;
}

void windows_close(struct windows *w)
{
	release_room(w);
	mem_free(w->piece);
	mixture_release(&w->mixture);
	shards_close(&w->shards);
	*w = (struct windows){ 0 };
}

void windows_room(struct windows *w, size_t windows)
{
	size_t tokens = windows * (size_t)w->o.length;

	release_room(w);
	w->room = windows;
	w->documents = mem_array(windows * (size_t)w->most_pieces, sizeof(*w->documents));
	w->ids = mem_array(tokens, sizeof(*w->ids));
	w->learn = mem_array(tokens, sizeof(*w->learn));
	mem_touch(w->documents, windows * (size_t)w->most_pieces * sizeof(*w->documents));
	mem_touch(w->ids, tokens * sizeof(*w->ids));
	mem_touch(w->learn, tokens);
}

/* --- a step --- */

int windows_take(struct windows *w, uint64_t at, size_t n, const struct document **docs, size_t *n_docs,
                 struct err *e)
{
	size_t length = (size_t)w->o.length;

	if (n > w->room)
		BUG("%zu windows where there is room for %zu", n, w->room);
	*n_docs = 0;
	for (size_t i = 0; i < n; i++) {
		struct mixture_pick pick = mixture_at(&w->mixture, at + i);
		struct place p = { w->documents + *n_docs, w->ids + i * length, w->learn + i * length };
		int32_t pieces = make_window(w, pick.source, SHARDS_TRAIN, pick.window, w->o.length, &p, w->piece, e);
		if (pieces < 0)
			return err_prefix(e, "%s", w->shards.path);
		for (int32_t k = 0; k < pieces; k++)
			docs[*n_docs + (size_t)k] = &p.documents[k];
		*n_docs += (size_t)pieces;
	}
	return 0;
}

/* --- what is held out --- */

/* Windows that a source has of it, and how long they are. */
static uint64_t held_out(const struct windows *w, size_t source, int32_t *length)
{
	const struct shards_stream *x = &w->shards.sources[source].split[SHARDS_VALID];

	*length = (int32_t)MIN((uint64_t)w->o.length, x->tokens);
	return *length < 2 ? 0 : shards_windows(x, *length);
}

/* A window, behind the documents that d has. */
static int add_window(const struct windows *w, struct documents *d, size_t source, uint64_t window, int32_t length,
                      struct err *e)
{
	size_t tokens = (size_t)length, most = (size_t)held_out_pieces(w);
	struct place p = { .ids = arena_array(&d->mem, tokens, sizeof(int32_t)),
		           .learn = arena_array(&d->mem, tokens, 1) };

	if (d->n + most > d->cap) {
		d->cap = 2 * d->cap + most;
		d->items = mem_grow(d->items, d->cap, sizeof(*d->items));
	}
	p.documents = d->items + d->n;
	int32_t n = make_window(w, source, SHARDS_VALID, window, length, &p, w->piece, e);
	if (n < 0)
		return err_prefix(e, "%s", w->shards.path);
	for (int32_t i = 0; i < n; i++) {
		d->tokens += (size_t)p.documents[i].n;
		d->learnt += (size_t)p.documents[i].n_learn;
	}
	d->n += (size_t)n;
	return 0;
}

int windows_held_out(struct windows *w, size_t tokens, struct documents *d, double *bytes_per_token, struct err *e)
{
	uint64_t all = 0, most = MAX((uint64_t)tokens / (uint64_t)w->o.length, (uint64_t)1), seen = 0, taken = 0;
	double bytes = 0;
	int32_t length;

	*d = (struct documents){ 0 };
	for (size_t i = 0; i < w->shards.n_sources; i++)
		all += held_out(w, i, &length);
	most = MIN(most, all);
	for (size_t i = 0; i < w->shards.n_sources; i++) {
		const struct shards_stream *x = &w->shards.sources[i].split[SHARDS_VALID];
		uint64_t n = held_out(w, i, &length);
		/* number k of those that are taken is window k·all/most of all */
		for (; taken < most; taken++) {
			uint64_t k = (uint64_t)((double)taken * (double)all / (double)most);
			if (k >= seen + n)
				break;
			if (add_window(w, d, i, k - seen, length, e) < 0)
				return -1;
			bytes += length * (double)x->bytes / (double)x->tokens;
		}
		seen += n;
	}
	*bytes_per_token = d->tokens ? bytes / (double)d->tokens : NAN;
	return 0;
}
