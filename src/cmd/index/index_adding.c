/* index_adding: see index_adding.h. */
#include "cmd/index/index_adding.h"

#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/index/index_chunks.h"
#include "cmd/index/index_input.h"
#include "cmd/metering.h"

enum { BATCH_CHUNKS = 256, COMMIT_SECONDS = 20, QUIET_SECONDS = 2 };

struct waiting {
	struct index_document document;
	bool replaces;
};

struct adding_batch {
	struct index_adding *a;
	struct arena mem;
	struct waiting *items;
	struct index_chunk *chunks;    /* of all */
	size_t n, cap, n_chunks, cap_chunks;
	double began, committed;
	struct input in;
	size_t *first;                 /* [n] where a document's chunks begin */
	bool failed;                   /* the index could not be written: nothing more is committed */
};

/* --- how far it is --- */

/* By tokens where they are embedded, else by bytes of files. */
static void show(struct adding_batch *b)
{
	const struct index_adding *a = b->a;
	double seconds = clock_seconds() - b->began, tokens = a->embedder ? (double)a->embedder->tokens : 0,
	       all = a->embedder ? a->survey.tokens : a->survey.files, done = a->embedder ? tokens : b->in.done;
	char left[32] = "", speed[48] = "";

	if (seconds < QUIET_SECONDS)
		return;
	if (a->embedder)
		snprintf(speed, sizeof(speed), "  %.0f tokens/s", tokens / seconds);
	if (done > 0 && all > done)
		clock_human((all - done) / done * seconds, left);
	log_live("%zu documents, %zu chunks%s%s%s%s  %s", a->added + a->replaced, a->chunks + b->n_chunks, speed,
	         left[0] ? "  " : "", left, left[0] ? " left" : "", metering_live());
}

static int embedded(void *ctx)
{
	show(ctx);
	return metering_over();
}

/* --- a batch --- */

static int embed_batch(struct adding_batch *b, float **vectors, struct err *e)
{
	struct index_embedder *x = b->a->embedder;
	struct index_span *spans = mem_array(b->n_chunks + 1, sizeof(*spans));

	*vectors = mem_array(b->n_chunks * x->width + 1, sizeof(**vectors));
	for (size_t i = 0; i < b->n_chunks; i++)
		spans[i] = (struct index_span){ b->chunks[i].text, b->chunks[i].n };
	int status = index_embed(x, spans, b->n_chunks, false, *vectors, e);
	for (size_t i = 0; i < b->n_chunks; i++)
		b->chunks[i].vector = *vectors + i * x->width;
	mem_free(spans);
	return status;
}

static int add_batch(struct adding_batch *b, struct err *e)
{
	for (size_t i = 0; i < b->n; i++) {
		struct waiting *w = &b->items[i];
		w->document.chunks = b->chunks + b->first[i];
		int same = index_add(b->a->index, &w->document, e);
		if (same < 0) {
			b->failed = true;
			return -1;
		}
		b->a->same += (size_t)same;
		b->a->added += !same && !w->replaces;
		b->a->replaced += !same && w->replaces;
		b->a->chunks += same ? 0 : w->document.n_chunks;
	}
	return 0;
}

static int commit(struct adding_batch *b, struct err *e)
{
	if (index_commit(b->a->index, e) < 0)
		return -1;
	b->committed = clock_seconds();
	if (b->a->app->json) {
		json_t *line = json_pack("{s:I}", "committed", (json_int_t)(b->a->added + b->a->replaced));
		app_json(line);
		json_decref(line);
	}
	return 0;
}

static int flush(struct adding_batch *b, struct err *e)
{
	float *vectors = NULL;
	int status = b->n && b->a->embedder ? embed_batch(b, &vectors, e) : 0;

	if (status == 0)
		status = add_batch(b, e);
	mem_free(vectors);
	arena_release(&b->mem);
	b->n = b->n_chunks = 0;
	if (status == 0 && (index_waiting(b->a->index) > b->a->commit_bytes ||
	                    clock_seconds() - b->committed > COMMIT_SECONDS))
		status = commit(b, e);
	show(b);
	return status;
}

/* --- a document --- */

static void keep_chunk(struct adding_batch *b, const char *title, struct index_span s)
{
	if (b->n_chunks == b->cap_chunks) {
		b->cap_chunks = MAX((size_t)512, 2 * b->cap_chunks);
		b->chunks = mem_grow(b->chunks, b->cap_chunks, sizeof(*b->chunks));
	}
	char *text = index_chunk_text(&b->mem, title, s);
	b->chunks[b->n_chunks++] = (struct index_chunk){ text, strlen(text), NULL };
}

static char *copy(struct adding_batch *b, const char *s) { return s ? arena_strdup(&b->mem, s) : NULL; }

static int keep_document(struct adding_batch *b, const struct input_document *d, const char *hash, bool replaces,
                         struct err *e)
{
	const struct index_settings *s = index_settings(b->a->index);
	struct index_span *spans;
	size_t n;

	if (index_chunks(d->text, d->n, b->a->embedder ? b->a->embedder->model->tokenizer : NULL, s->chunk_tokens,
	                 s->overlap, &b->mem, &spans, &n, e) < 0)
		return err_prefix(e, "%s", d->id);
	if (b->n == b->cap) {
		b->cap = MAX((size_t)512, 2 * b->cap);
		b->items = mem_grow(b->items, b->cap, sizeof(*b->items));
		b->first = mem_grow(b->first, b->cap, sizeof(*b->first));
	}
	b->a->empty += !n;
	b->first[b->n] = b->n_chunks;
	for (size_t i = 0; i < n; i++)
		keep_chunk(b, d->title, spans[i]);
	b->items[b->n++] = (struct waiting){
		.document = { .id = copy(b, d->id), .hash = copy(b, hash), .title = copy(b, d->title),
		              .source = copy(b, d->source), .fields = copy(b, d->fields), .n_chunks = n },
		.replaces = replaces,
	};
	return 0;
}

static int take_looked(struct adding_batch *b, const struct input_document *d, struct err *e);

/* A document that is refused is left out; one that was in the index before stays as it was. */
static int take(void *ctx, const struct input_document *d, struct err *e)
{
	struct adding_batch *b = ctx;
	struct input_document other = *d;
	struct buf redacted = BUF_INIT;
	struct err refusal = ERR_INIT;
	size_t before = b->a->guarding ? b->a->guarding->refused : 0;
	int status = 0;

	if (b->a->guarding && guarding_text(b->a->guarding, d->id, d->text, d->n, &redacted, &refusal) < 0) {
		if (b->a->guarding->refused == before)
			return err_set(e, "%s", refusal.msg);
		log_warn("left out: %s", refusal.msg);
		b->a->seen++;
		b->a->refused++;
		return 0;
	}
	if (redacted.len) {
		other.text = redacted.data;
		other.n = redacted.len;
	}
	status = take_looked(b, &other, e);
	buf_release(&redacted);
	return status;
}

static int take_looked(struct adding_batch *b, const struct input_document *d, struct err *e)
{
	enum index_known known;
	char hash[33];

	b->a->seen++;
	if (metering_over())
		return err_set(e, "interrupted after %zu documents", b->a->seen - 1);
	input_hash(d, hash);
	if (index_knows(b->a->index, d->id, hash, &known, e) < 0)
		return -1;
	if (known == INDEX_SAME) {
		b->a->same++;
		return 0;
	}
	if (keep_document(b, d, hash, known == INDEX_OTHER, e) < 0)
		return -1;
	return b->n_chunks >= BATCH_CHUNKS ? flush(b, e) : 0;
}

/* --- the whole --- */

/* What was read whole is kept, also before something went wrong (not fine); an interruption waits for no embedder. */
static int finish(struct adding_batch *b, bool fine, struct err *e)
{
	struct err unused = ERR_INIT;
	int status = b->failed ? -1 : fine || !metering_over() ? flush(b, e) : 0;

	if (b->failed)
		return -1;
	return commit(b, status == 0 ? e : &unused) < 0 ? -1 : status;
}

static void count_work(struct index_adding *a)
{
	if (!a->embedder)
		return;
	struct scorer *s = embedder_scorer(a->embedder->embedder);
	metering_count(a->embedder->tokens, 0, -1, scorer_flops(s), scorer_int_ops(s));
	a->embedder->progress = NULL;
}

int index_add_paths(struct index_adding *a, const char *const *paths, size_t n, struct err *e)
{
	struct adding_batch b = { .a = a, .began = clock_seconds(), .committed = clock_seconds(),
		                  .in = { .take = take, .ctx = &b } };
	struct err unused = ERR_INIT;
	int status = 0;

	metering_phase("add");
	if (a->embedder) {
		a->embedder->progress = embedded;
		a->embedder->ctx = &b;
	}
	for (size_t i = 0; i < n && status == 0; i++) {
		status = input_read(&b.in, paths[i], e);
		if (status == 0)
			metering_in("documents", paths[i], NULL);
	}
	int last = finish(&b, status == 0, status == 0 ? e : &unused);
	if (status == 0)
		status = last < 0 ? -1 : index_tidy(a->index, a->app->pool, e);
	if (status == 0 && !a->seen)
		status = err_set(e, "%s%s: no document in it", paths[0], n > 1 ? " and the others" : "");
	log_live_end();
	count_work(a);
	if (status < 0 && last == 0 && a->added + a->replaced)
		log_warn("%zu documents that were read before are kept", a->added + a->replaced);
	if (b.in.skipped)
		log_warn("%zu file%s of folders %s left out, %s%s: %s no kind of text", b.in.skipped,
		         b.in.skipped == 1 ? "" : "s", b.in.skipped == 1 ? "was" : "were", b.in.first_skipped,
		         b.in.skipped == 1 ? "" : " among them",
		         b.in.skipped == 1 ? "its ending names" : "their endings name");
	if (b.in.unread)
		log_warn("%zu file%s of folders could not be read and %s left out: %s", b.in.unread,
		         b.in.unread == 1 ? "" : "s", b.in.unread == 1 ? "was" : "were", b.in.first_unread);
	if (a->refused)
		log_warn("%zu documents were left out: the guard refuses them", a->refused);
	if (a->empty)
		log_warn("%zu document%s no text: no word finds %s", a->empty, a->empty == 1 ? " has" : "s have",
		         a->empty == 1 ? "it" : "them");
	if (b.in.repaired)
		log_warn("%zu document%s bytes that are no UTF-8, which became U+FFFD: %s%s", b.in.repaired,
		         b.in.repaired == 1 ? " had" : "s had", b.in.first_repaired,
		         b.in.repaired == 1 ? "" : " among them");
	if (a->embedder && a->embedder->cut)
		log_warn("%lld chunks are longer than the embedder reads (%d tokens): vectors are of their beginnings",
		         (long long)a->embedder->cut, a->embedder->how.max_length);
	input_release(&b.in);
	arena_release(&b.mem);
	mem_free(b.items);
	mem_free(b.first);
	mem_free(b.chunks);
	return status;
}

int index_adding_report(struct index_adding *a, const char *path, double seconds, struct err *e)
{
	struct index_counts c;
	struct index *x;
	char size[32], time[32], gas[400];

	if (index_open(&x, path, false, e) < 0)
		return -1;
	index_count(x, &c);
	metering_out("index", path);
	json_t *j = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "index", jsonx_path(path), "added",
	                      (json_int_t)a->added, "replaced", (json_int_t)a->replaced, "same", (json_int_t)a->same,
	                      "empty", (json_int_t)a->empty, "documents", (json_int_t)c.documents, "chunks",
	                      (json_int_t)c.chunks, "bytes", (json_int_t)c.bytes, "seconds", seconds);
	json_t *guarded = a->guarding ? guarding_json(a->guarding) : NULL;
	if (guarded)
		json_object_set_new(j, "guard", guarded);
	json_object_set_new(j, "embedder", index_settings(x)->embedder ? jsonx_path(index_settings(x)->embedder) :
	                                                                 json_null());
	if (a->embedder) {
		json_object_set_new(j, "tokens", json_integer(a->embedder->tokens));
		json_object_set_new(j, "tokens_per_second", jsonx_number((double)a->embedder->tokens / seconds));
	}
	app_summary(a->app, j);
	if (!a->app->json) {
		human_bytes(c.bytes, size);
		clock_human(seconds, time);
		app_print("%s: %zu documents added, %zu replaced, %zu there already, in %s\n", path, a->added,
		          a->replaced,
		          a->same, time);
		app_print("  %zu documents, %zu chunks, %s beside it\n", c.documents, c.chunks, size);
		if (a->embedder && a->embedder->tokens)
			app_print("  %lld tokens embedded, %.0f a second\n", (long long)a->embedder->tokens,
			          (double)a->embedder->tokens / seconds);
		if (!index_settings(x)->embedder)
			app_print("  searched by words alone (BM25): it was built without --embedder\n");
		metering_text(gas);
		if (gas[0])
			app_print("  %s\n", gas);
	}
	index_close(x);
	return 0;
}
