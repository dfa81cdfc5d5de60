/* shards_save: what a writer of shards has done so far, so that another process goes on with it.
 *
 *     DIR.kungfu-part/new/…          the shards, files at their full length or longer
 *     DIR.kungfu-part/NAME.note      the caller's numbers
 *     DIR.kungfu-part/saved.json     of each stream how far it is, of each file that still grows its length and hash
 *
 * saved.json is replaced in one step when all that it speaks of is on the disk. Whoever goes on cuts files to the
 * lengths that it has, reads those that still grow for their hash, and removes what it does not know. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "corpus/shards_parts.h"

#define SAVED "saved.json"
#define NOTE ".note"
enum { SAVED_VERSION = 1, PIECE = 1 << 20 };

static char *saved_path(const struct shards_writer *w) { return io_join(w->folder.part, SAVED); }

/* --- saving --- */

static json_t *growing_json(const struct growing *g)
{
	char hex[33];

	if (!g->name)
		return json_null();
	hash_now(g->hash, hex);
	return json_pack("{s:s, s:I, s:s}", "file", g->name, "bytes", (json_int_t)g->bytes, "hash", hex);
}

static json_t *stream_json(const struct stream *x)
{
	return json_pack("{s:I, s:I, s:I, s:O, s:o, s:o}", "documents", (json_int_t)x->documents, "tokens",
	                 (json_int_t)x->tokens, "bytes", (json_int_t)x->bytes, "files", x->files, "ids",
	                 growing_json(&x->ids), "index", growing_json(&x->index));
}

static json_t *facts_json(const struct shards_writer *w)
{
	return json_pack("{s:s, s:I, s:i, s:I}", "tokenizer", w->facts.tokenizer, "vocabulary",
	                 (json_int_t)w->facts.vocabulary, "end_of_text", w->facts.end_of_text, "file_tokens",
	                 (json_int_t)w->facts.file_tokens);
}

static json_t *saved_json(const struct shards_writer *w, json_t *of)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < SHARDS_NOTES; i++)
		json_array_append_new(notes, growing_json(&w->note[i]));
	return json_pack("{s:i, s:o, s:o, s:o, s:o}", "version", SAVED_VERSION, "facts", facts_json(w), "sources",
	                 shards_sources_json(w, stream_json), "notes", notes, "of", of);
}

static int sync_all(struct shards_writer *w, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < w->n_sources && !status; i++)
		for (int split = 0; split < SHARDS_SPLITS && !status; split++) {
			struct stream *x = &w->sources[i].split[split];
			status = grow_sync(w->folder.beside, &x->ids, e) < 0 ? -1 :
			         grow_sync(w->folder.beside, &x->index, e);
		}
	for (size_t i = 0; i < SHARDS_NOTES && !status; i++)
		status = grow_sync(w->folder.part, &w->note[i], e);
	return status;
}

int shards_writer_save(struct shards_writer *w, json_t *of, struct err *e)
{
	char *path = saved_path(w);

	if (sync_all(w, e) < 0) {
		json_decref(of);
		mem_free(path);
		return -1;
	}
	json_t *j = saved_json(w, of);
	int status = jsonx_write_file(path, j, e);
	json_decref(j);
	mem_free(path);
	return status;
}

int shards_writer_note(struct shards_writer *w, const char *name, const void *data, size_t n, struct err *e)
{
	size_t i = 0;
	char file[64];

	snprintf(file, sizeof(file), "%s" NOTE, name);
	while (i < SHARDS_NOTES && w->note[i].name && strcmp(w->note[i].name, file) != 0)
		i++;
	if (i == SHARDS_NOTES)
		BUG("%s: more than %d notes", name, SHARDS_NOTES);
	if (!w->note[i].name && grow_open(w->folder.part, &w->note[i], arena_strdup(&w->mem, file), e) < 0)
		return -1;
	return grow_add(w->folder.part, &w->note[i], data, n, e);
}

/* --- going on --- */

void shards_find_saved(struct shards_writer *w)
{
	struct err none = ERR_INIT; /* a kill before the first save */
	struct buf text = BUF_INIT;
	char *path = saved_path(w);

	if (io_exists(path) && io_read(&text, path, &none) == 0)
		w->saved = jsonx_load_nul(buf_str(&text), text.len, path, &none);
	buf_release(&text);
	mem_free(path);
}

const json_t *shards_writer_saved(const struct shards_writer *w) { return json_object_get(w->saved, "of"); }

/* Of the files that are there those that the list has not. */
static int remove_others(const char *folder, const json_t *known, struct err *e)
{
	char **names;
	size_t n;
	int status = io_list(folder, &names, &n, e);

	if (status < 0)
		return -1;
	for (size_t i = 0; i < n && !status; i++) {
		char *path = io_join(folder, names[i]);
		if (!json_object_get(known, names[i]))
			status = io_remove_tree(path, e);
		mem_free(path);
	}
	io_list_free(names, n);
	return status;
}

int shards_clear(struct shards_writer *w, struct err *e)
{
	json_t *known = json_pack("{s:b}", io_basename(w->folder.beside), 1), *none = json_object();
	/* what says that files are good goes before them */
	char *path = saved_path(w);
	int status = !w->found || !io_exists(path) ? 0 : io_remove_tree(path, e);

	if (!status && w->found)
		status = remove_others(w->folder.part, known, e) < 0 ? -1 : remove_others(w->folder.beside, none, e);
	json_decref(known);
	json_decref(none);
	mem_free(path);
	json_decref(w->saved);
	w->saved = NULL;
	w->found = false;
	return status;
}

static int read_hash(const char *path, struct hash_stream *h, struct err *e)
{
	struct mapping m;
	int status = io_map(&m, path, e);

	if (status < 0)
		return -1;
	for (size_t at = 0; at < m.size && !status; at += PIECE) {
		hash_add(h, m.data + at, MIN((size_t)PIECE, m.size - at));
		status = stop_look(e, "shards that were begun were read");
	}
	io_unmap(&m);
	return status;
}

/* A file is cut to the length that it had. */
static int regrow(struct shards_writer *w, const char *folder, struct growing *g, const json_t *j, struct err *e)
{
	const char *name = json_string_value(json_object_get(j, "file"));
	const char *want = json_string_value(json_object_get(j, "hash"));
	size_t bytes = (size_t)json_integer_value(json_object_get(j, "bytes")), size;
	char hex[33];

	if (json_is_null(j))
		return 0;
	if (!name || !want)
		return err_set(e, "a file without a name");
	char *path = io_join(folder, name);
	int status = io_size(path, &size, e);
	if (!status && size < bytes)
		status = err_set(e, "%s has %zu bytes, %zu were written", path, size, bytes);
	if (!status)
		status = io_truncate(path, bytes, e);
	if (!status)
		status = grow_open(folder, g, arena_strdup(&w->mem, name), e);
	if (!status)
		status = read_hash(path, g->hash, e);
	if (!status) {
		hash_now(g->hash, hex);
		g->bytes = bytes;
		if (strcmp(hex, want) != 0)
			status = err_set(e, "%s is damaged", path);
	}
	mem_free(path);
	return status;
}

static uint64_t count_of(const json_t *j, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(j, key));
}

/* A file that was whole then. */
static int check_whole(struct shards_writer *w, json_t *known, const json_t *file, struct err *e)
{
	const char *name = json_string_value(json_object_get(file, "file"));
	char *path = io_join(w->folder.beside, name ? name : "");
	size_t size, id = w->facts.vocabulary <= SHARDS_SMALL_VOCABULARY ? 2 : 4;
	int status = !name ? err_set(e, "a file without a name") : io_size(path, &size, e);

	if (!status && size != w->facts.file_tokens * id)
		status = err_set(e, "%s has %zu bytes", path, size);
	if (!status)
		json_object_set_new(known, name, json_true());
	mem_free(path);
	return status;
}

static void know(json_t *known, const struct growing *g)
{
	if (g->name)
		json_object_set_new(known, g->name, json_true());
}

static int resume_stream(struct shards_writer *w, struct stream *x, const json_t *j, json_t *known, struct err *e)
{
	json_t *file;
	size_t i;

	x->tokens = count_of(j, "tokens");
	x->documents = count_of(j, "documents");
	x->bytes = count_of(j, "bytes");
	json_array_foreach(json_object_get(j, "files"), i, file) {
		if (check_whole(w, known, file, e) < 0)
			return -1;
		json_array_append(x->files, file);
	}
	if (regrow(w, w->folder.beside, &x->ids, json_object_get(j, "ids"), e) < 0 ||
	    regrow(w, w->folder.beside, &x->index, json_object_get(j, "index"), e) < 0)
		return -1;
	know(known, &x->ids);
	know(known, &x->index);
	return 0;
}

static int resume_sources(struct shards_writer *w, json_t *known, struct err *e)
{
	json_t *sources = json_object_get(w->saved, "sources"), *j;
	size_t i;

	w->sources = mem_array(MAX(json_array_size(sources), (size_t)1), sizeof(*w->sources));
	json_array_foreach(sources, i, j) {
		const char *name = json_string_value(json_object_get(j, "name"));
		struct source *s = &w->sources[w->n_sources++];
		if (!name)
			return err_set(e, "a source without a name");
		*s = (struct source){ .name = arena_strdup(&w->mem, name) };
		if (jsonx_real(j, "weight", NAN, &s->weight, e) < 0 || jsonx_real(j, "epochs", NAN, &s->epochs, e) < 0)
			return -1;
		for (int split = 0; split < SHARDS_SPLITS; split++)
			s->split[split].files = json_array();
		for (int split = 0; split < SHARDS_SPLITS; split++)
			if (resume_stream(w, &s->split[split], json_object_get(j, shards_split_name(split)), known,
			                  e) < 0)
				return -1;
	}
	return 0;
}

static int resume_notes(struct shards_writer *w, struct err *e)
{
	json_t *known = json_pack("{s:b, s:b}", io_basename(w->folder.beside), 1, SAVED, 1), *j;
	int status = 0;
	size_t i;

	json_array_foreach(json_object_get(w->saved, "notes"), i, j) {
		if (!status && i < SHARDS_NOTES)
			status = regrow(w, w->folder.part, &w->note[i], j, e);
		if (!status && i < SHARDS_NOTES)
			know(known, &w->note[i]);
	}
	if (!status)
		status = remove_others(w->folder.part, known, e);
	json_decref(known);
	return status;
}

int shards_writer_resume(struct shards_writer *w, struct err *e)
{
	json_t *known = json_object(), *facts = facts_json(w);
	int status = 0;

	if (json_integer_value(json_object_get(w->saved, "version")) != SAVED_VERSION ||
	    !json_equal(facts, json_object_get(w->saved, "facts")))
		status = err_set(e, "it is of another version or another tokenizer");
	if (!status)
		status = resume_sources(w, known, e) < 0 || resume_notes(w, e) < 0 ? -1 :
		         remove_others(w->folder.beside, known, e);
	json_decref(known);
	json_decref(facts);
	if (status < 0) {
		shards_forget(w);
		return -1;
	}
	json_decref(w->saved);
	w->saved = NULL;
	w->found = false;
	return 0;
}

int shards_writer_noted(const struct shards_writer *w, const char *name, struct mapping *m, struct err *e)
{
	char *file = mem_printf("%s" NOTE, name), *path = io_join(w->folder.part, file);
	int status = 0;

	*m = (struct mapping){ 0 };
	if (io_exists(path))
		status = io_map(m, path, e);
	mem_free(path);
	mem_free(file);
	return status;
}
