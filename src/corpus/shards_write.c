/* shards_write: documents appended to their streams, in a folder that appears when all of them are there.
 *
 * Each stream has one file that grows, written in pieces and hashed on the way, and a file for its index; memory is two
 * pieces a stream that has documents. Nothing is written twice, the manifest comes last. Saving is shards_save.c. */
#include "corpus/shards.h"

#include <math.h>
#include <string.h>

#include "base/folder.h"
#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "corpus/shards_parts.h"
#include "token/tokenizer.h"

enum { PIECE = 1 << 16, BLOCK = 1 << 10 };
static const uint64_t FILE_TOKENS = (uint64_t)1 << 28;

/* --- files --- */

int grow_open(const char *folder, struct growing *g, const char *name, struct err *e)
{
	char *path = io_join(folder, name);
	int status = io_append(path, NULL, 0, e);

	mem_free(path);
	if (status < 0)
		return -1;
	g->name = name;
	g->hash = hash_begin();
	g->changed = true;
	return 0;
}

static int grow_flush(const char *folder, struct growing *g, struct err *e)
{
	char *path = io_join(folder, g->name);
	int status = io_append(path, buf_str(&g->waiting), g->waiting.len, e);

	hash_add(g->hash, buf_str(&g->waiting), g->waiting.len);
	g->bytes += g->waiting.len;
	g->changed |= g->waiting.len > 0;
	buf_clear(&g->waiting);
	mem_free(path);
	return status;
}

int grow_add(const char *folder, struct growing *g, const void *data, size_t n, struct err *e)
{
	buf_add(&g->waiting, data, n);
	return g->waiting.len < PIECE ? 0 : grow_flush(folder, g, e);
}

int grow_sync(const char *folder, struct growing *g, struct err *e)
{
	if (!g->name || grow_flush(folder, g, e) < 0 || !g->changed)
		return g->name && g->waiting.len ? -1 : 0;
	char *path = io_join(folder, g->name);
	int status = io_sync(path, e);
	mem_free(path);
	g->changed = status < 0;
	return status;
}

void grow_drop(struct growing *g)
{
	char hex[33];

	if (g->hash)
		hash_end(g->hash, hex);
	buf_release(&g->waiting);
	*g = (struct growing){ 0 };
}

/* What the manifest says of it, or NULL and a sentence. */
static json_t *grow_close(const char *folder, struct growing *g, struct err *e)
{
	char hex[33];

	if (grow_sync(folder, g, e) < 0)
		return NULL;
	hash_now(g->hash, hex);
	json_t *j = json_pack("{s:s, s:s}", "file", g->name, "hash", hex);
	grow_drop(g);
	return j;
}

/* --- beginning --- */

int shards_writer_open(struct shards_writer **out, const char *dir, const struct shards_facts *f, struct err *e)
{
	bool empty, found;

	*out = NULL;
	if (f->end_of_text < 0 || (uint32_t)f->end_of_text >= f->vocabulary)
		BUG("end of text %d of %u ids", f->end_of_text, f->vocabulary);
	bool replaces = shards_are(dir);
	if (io_exists(dir) && !io_is_dir(dir))
		return err_set(e, "%s is a file; a folder is written", dir);
	if (!replaces && io_dir_is_empty(dir, &empty, e) < 0)
		return -1;
	if (!replaces && !empty)
		return err_set(e, "%s holds something that is no shards; it is left alone", dir);
	struct shards_writer *w = mem_alloc(sizeof(*w));
	*w = (struct shards_writer){ .facts = *f, .replaces = replaces };
	w->facts.tokenizer = arena_strdup(&w->mem, f->tokenizer);
	if (!f->file_tokens)
		w->facts.file_tokens = FILE_TOKENS;
	if (folder_begin_kept(&w->folder, dir, &found, e) < 0) {
		arena_release(&w->mem);
		mem_free(w);
		return -1;
	}
	if (found)
		shards_find_saved(w);
	w->found = true;
	*out = w;
	return 0;
}

int shards_writer_source(struct shards_writer *w, const char *name, double weight, double epochs, struct err *e)
{
	if (w->n_sources == SHARDS_SOURCES)
		return err_set(e, "more than %d sources", SHARDS_SOURCES);
	if (!shards_is_name(name))
		return err_set(e, "'%.100s' is no name of a source: letters, digits, '.', '_' and '-', %d at most",
		               name, SHARDS_NAME);
	for (size_t i = 0; i < w->n_sources; i++)
		if (!strcmp(w->sources[i].name, name))
			return err_set(e, "two sources are called '%s'", name);
	if (shards_clear(w, e) < 0)
		return -1;
	w->sources = mem_grow(w->sources, w->n_sources + 1, sizeof(*w->sources));
	struct source *s = &w->sources[w->n_sources++];
	*s = (struct source){ .name = arena_strdup(&w->mem, name), .weight = weight, .epochs = epochs };
	for (int split = 0; split < SHARDS_SPLITS; split++)
		s->split[split].files = json_array();
	return 0;
}

/* --- documents --- */

static const char *tokens_name(struct shards_writer *w, size_t source, enum shards_split split)
{
	const struct stream *x = &w->sources[source].split[split];
	return shards_tokens_name(&w->mem, w->sources[source].name, split, json_array_size(x->files));
}

static int end_file(struct shards_writer *w, size_t source, enum shards_split split, struct err *e)
{
	struct stream *x = &w->sources[source].split[split];
	json_t *file = grow_close(w->folder.beside, &x->ids, e);

	return file ? json_array_append_new(x->files, file) : -1;
}

/* Ids of one file: n fit into it. */
static int put_ids(const struct shards_writer *w, struct growing *g, const int32_t *ids, size_t n, struct err *e)
{
	uint32_t vocabulary = w->facts.vocabulary;
	uint16_t small[BLOCK];
	bool is_small = vocabulary <= SHARDS_SMALL_VOCABULARY;

	for (size_t at = 0; at < n; at += BLOCK) {
		size_t here = MIN((size_t)BLOCK, n - at);
		for (size_t i = 0; i < here; i++) {
			if (ids[at + i] < 0 || (uint32_t)ids[at + i] >= vocabulary)
				BUG("id %d of a vocabulary of %u", ids[at + i], vocabulary);
			small[i] = (uint16_t)ids[at + i];
		}
		if (grow_add(w->folder.beside, g, is_small ? (const void *)small : ids + at, here * (is_small ? 2 : 4),
		             e) < 0)
			return -1;
	}
	return 0;
}

static int put_tokens(struct shards_writer *w, size_t source, enum shards_split split, const int32_t *ids, size_t n,
                      struct err *e)
{
	struct stream *x = &w->sources[source].split[split];

	while (n) {
		uint64_t in = x->tokens % w->facts.file_tokens;
		size_t here = (size_t)MIN(w->facts.file_tokens - in, (uint64_t)n);
		if (!x->ids.name && grow_open(w->folder.beside, &x->ids, tokens_name(w, source, split), e) < 0)
			return -1;
		if (put_ids(w, &x->ids, ids, here, e) < 0)
			return -1;
		x->tokens += here;
		ids += here;
		n -= here;
		if (in + here == w->facts.file_tokens && end_file(w, source, split, e) < 0)
			return -1;
	}
	return 0;
}

int shards_writer_add(struct shards_writer *w, size_t source, enum shards_split split, const int32_t *ids, size_t n,
                      uint64_t bytes, struct err *e)
{
	struct stream *x = &w->sources[source].split[split];

	if (!x->index.name &&
	    grow_open(w->folder.beside, &x->index, shards_index_name(&w->mem, w->sources[source].name, split), e) < 0)
		return -1;
	if (grow_add(w->folder.beside, &x->index, &x->tokens, sizeof(x->tokens), e) < 0 ||
	    put_tokens(w, source, split, ids, n, e) < 0 ||
	    put_tokens(w, source, split, &w->facts.end_of_text, 1, e) < 0)
		return -1;
	x->documents++;
	x->bytes += bytes;
	return 0;
}

int shards_writer_file(struct shards_writer *w, const char *name, const void *data, size_t n, struct err *e)
{
	char *path = io_join(w->folder.beside, name);
	int status = io_write(path, data, n, e);

	mem_free(path);
	return status;
}

static bool is_same(const struct shards_writer *w, const char *dir)
{
	struct err ignored = ERR_INIT;
	struct tokenizer *t = tokenizer_open(dir, &ignored);
	char hex[33] = "";

	if (t)
		shards_tokenizer_hash(t, hex);
	tokenizer_free(t);
	return !strcmp(hex, w->facts.tokenizer);
}

int shards_writer_tokenizer(struct shards_writer *w, const struct tokenizer *t, struct err *e)
{
	char *dir = io_join(w->folder.beside, SHARDS_TOKENIZER);
	int status = io_mkdirs(dir, e) < 0 ? -1 : tokenizer_save(t, dir, e);

	if (!status && !is_same(w, dir))
		status = io_remove_tree(dir, e);
	mem_free(dir);
	return status;
}

/* --- the end --- */

static int end_stream(struct shards_writer *w, size_t source, enum shards_split split, struct err *e)
{
	struct stream *x = &w->sources[source].split[split];
	const char *name = shards_index_name(&w->mem, w->sources[source].name, split);

	if (x->ids.name && end_file(w, source, split, e) < 0)
		return -1;
	if (!x->index.name && grow_open(w->folder.beside, &x->index, name, e) < 0)
		return -1;
	x->index_file = grow_close(w->folder.beside, &x->index, e);
	return x->index_file ? 0 : -1;
}

static json_t *stream_json(const struct stream *x)
{
	return json_pack("{s:I, s:I, s:I, s:O, s:O}", "documents", (json_int_t)x->documents, "tokens",
	                 (json_int_t)x->tokens, "bytes", (json_int_t)x->bytes, "index", x->index_file, "files",
	                 x->files);
}

json_t *shards_sources_json(const struct shards_writer *w, json_t *(*stream)(const struct stream *x))
{
	json_t *sources = json_array();

	for (size_t i = 0; i < w->n_sources; i++) {
		const struct source *s = &w->sources[i];
		json_t *j = json_pack("{s:s, s:o, s:o}", "name", s->name, "weight", jsonx_number(s->weight), "epochs",
		                      jsonx_number(s->epochs));
		for (int split = 0; split < SHARDS_SPLITS; split++)
			json_object_set_new(j, shards_split_name(split), stream(&s->split[split]));
		json_array_append_new(sources, j);
	}
	return sources;
}

static json_t *manifest(const struct shards_writer *w, json_t *built)
{
	json_t *j = json_pack("{s:s, s:i, s:s, s:I, s:i, s:i, s:I, s:o}", "format", SHARDS_FORMAT, "version",
	                      SHARDS_VERSION, "tokenizer", w->facts.tokenizer, "vocabulary",
	                      (json_int_t)w->facts.vocabulary, "end_of_text", w->facts.end_of_text, "id_bytes",
	                      w->facts.vocabulary <= SHARDS_SMALL_VOCABULARY ? 2 : 4, "file_tokens",
	                      (json_int_t)w->facts.file_tokens, "sources",
	                      shards_sources_json(w, stream_json));
	if (built)
		json_object_set_new(j, "built", built);
	return j;
}

static int write_all(struct shards_writer *w, json_t *built, struct err *e)
{
	int status = w->n_sources ? 0 : err_set(e, "shards of no source");

	for (size_t i = 0; i < w->n_sources && !status; i++)
		for (int split = 0; split < SHARDS_SPLITS && !status; split++)
			status = end_stream(w, i, split, e);
	if (status < 0) {
		json_decref(built);
		return -1;
	}
	json_t *j = manifest(w, built);
	char *path = io_join(w->folder.beside, SHARDS_MANIFEST);
	status = jsonx_write_file(path, j, e);
	json_decref(j);
	mem_free(path);
	return status;
}

void shards_forget(struct shards_writer *w)
{
	for (size_t i = 0; i < w->n_sources; i++)
		for (int split = 0; split < SHARDS_SPLITS; split++) {
			struct stream *x = &w->sources[i].split[split];
			grow_drop(&x->ids);
			grow_drop(&x->index);
			json_decref(x->files);
			json_decref(x->index_file);
		}
	for (size_t i = 0; i < SHARDS_NOTES; i++)
		grow_drop(&w->note[i]);
	mem_free(w->sources);
	w->sources = NULL;
	w->n_sources = 0;
}

/* The folder has been placed, aborted or left. */
static void release(struct shards_writer *w)
{
	shards_forget(w);
	json_decref(w->saved);
	arena_release(&w->mem);
	mem_free(w);
}

int shards_writer_place(struct shards_writer *w, json_t *built, struct err *e)
{
	int status = write_all(w, built, e);

	if (status < 0)
		folder_abort(&w->folder);
	else
		status = w->replaces ? folder_replace(&w->folder, e) : folder_place(&w->folder, e);
	release(w);
	return status;
}

void shards_writer_abort(struct shards_writer *w)
{
	if (!w)
		return;
	folder_abort(&w->folder);
	release(w);
}

void shards_writer_leave(struct shards_writer *w)
{
	if (!w)
		return;
	folder_leave(&w->folder);
	release(w);
}
