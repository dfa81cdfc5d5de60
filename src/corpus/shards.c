/* shards: reading. The manifest is read with distrust: names are made anew from a source's and compared, numbers have
 * ranges, each file has exactly the length that follows from its tokens. What is written is little endian and read by
 * copying bytes, so on a machine of the other order nothing here would fit; the program runs on none.
 *
 * The index of documents is looked at whole when shards are opened: 8 bytes a document. Tokens are not. */
#include "corpus/shards.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "corpus/shards_parts.h"
#include "token/tokenizer.h"

static const uint64_t MOST_TOKENS = (uint64_t)1 << 56, MOST_FILE_TOKENS = (uint64_t)1 << 40;
enum { VERIFY_TOKENS = 1 << 20, HEX = 32 };

/* --- names --- */

const char *shards_split_name(enum shards_split split) { return split == SHARDS_TRAIN ? "train" : "valid"; }

char *shards_tokens_name(struct arena *mem, const char *source, enum shards_split split, size_t file)
{
	return arena_printf(mem, "%s-%s-%05zu.tokens", source, shards_split_name(split), file);
}

char *shards_index_name(struct arena *mem, const char *source, enum shards_split split)
{
	return arena_printf(mem, "%s-%s.documents", source, shards_split_name(split));
}

bool shards_is_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return n && n <= SHARDS_NAME && !name[n] && name[0] != '.';
}

void shards_tokenizer_hash(const struct tokenizer *t, char hex[33])
{
	char *text = tokenizer_hash_text(t);

	hash_hex(text, strlen(text), hex);
	mem_free(text);
}

char *shards_tokenizer_beside(const char *dir)
{
	char *path = io_join(dir, SHARDS_TOKENIZER);

	if (io_is_dir(path))
		return path;
	mem_free(path);
	return NULL;
}

/* --- the manifest --- */

struct reading {
	struct shards *s;
	const char *path;
	struct err *e;
};

static int refuse(const struct reading *r, const char *what) { return err_set(r->e, "%s: %s", r->path, what); }

static int whole_number(const struct reading *r, const json_t *o, const char *key, uint64_t most, uint64_t *out)
{
	const json_t *j = json_object_get(o, key);
	json_int_t v = json_integer_value(j);

	if (!json_is_integer(j) || v < 0 || (uint64_t)v > most)
		return err_set(r->e, "%s: \"%s\" is no whole number from 0 to %llu", r->path, key,
		               (unsigned long long)most);
	*out = (uint64_t)v;
	return 0;
}

static int positive_number(const struct reading *r, const json_t *o, const char *key, double *out)
{
	const json_t *j = json_object_get(o, key);

	*out = json_is_number(j) ? json_number_value(j) : NAN;
	if (j && !json_is_null(j) && !(*out > 0))
		return err_set(r->e, "%s: \"%s\" of a source is no positive number", r->path, key);
	return 0;
}

/* A file that the manifest names: {"file", "hash"}, whose name is known. */
static int named_file(const struct reading *r, const json_t *o, const char *name, char hash[33])
{
	const char *file = json_string_value(json_object_get(o, "file"));
	const char *hex = json_string_value(json_object_get(o, "hash"));

	if (!file || strcmp(file, name) != 0)
		return err_set(r->e, "%s: a file is named '%.80s' where %s was wanted", r->path, file ? file : "",
		               name);
	if (!hex || strlen(hex) != HEX)
		return err_set(r->e, "%s: %s has no hash of %d digits", r->path, name, HEX);
	memcpy(hash, hex, HEX + 1);
	return 0;
}

static int map_file(const struct reading *r, const char *name, uint64_t bytes, struct mapping *m)
{
	char *path = io_join(r->s->path, name);
	int status = io_map(m, path, r->e);

	if (!status && m->size != bytes)
		status = err_set(r->e, "%s has %zu bytes where %s says %llu: it is torn or another's", path, m->size,
		                 SHARDS_MANIFEST, (unsigned long long)bytes);
	mem_free(path);
	return status;
}

/* --- a stream --- */

static uint64_t index_at(const struct shards_stream *x, uint64_t i)
{
	uint64_t at;
	memcpy(&at, x->index.data + 8 * i, sizeof(at));
	return at;
}

static int check_index(const struct reading *r, const struct shards_stream *x, const char *name, const char *hash)
{
	char hex[33];

	hash_hex(x->index.data, x->index.size, hex);
	bool right = !strcmp(hex, hash) && (!x->documents || index_at(x, 0) == 0);
	for (uint64_t i = 1; i < x->documents && right; i++)
		right = index_at(x, i) > index_at(x, i - 1) && index_at(x, i) < x->tokens;
	return right ? 0 :
	               err_set(r->e, "%s/%s is not what %s says of it: it was changed", r->s->path, name,
	                       SHARDS_MANIFEST);
}

static int read_files(const struct reading *r, struct shards_stream *x, const char *source, enum shards_split split,
                      const json_t *list)
{
	struct shards *s = r->s;
	uint64_t left = x->tokens;
	size_t n = (size_t)((x->tokens + s->file_tokens - 1) / s->file_tokens);

	if (!json_is_array(list) || json_array_size(list) != n)
		return err_set(r->e, "%s: %s of '%s' has %zu files where %zu were wanted", r->path,
		               shards_split_name(split), source, json_array_size(list), n);
	x->files = arena_array(&s->mem, n, sizeof(*x->files));
	x->hash = arena_array(&s->mem, n, sizeof(*x->hash));
	for (; x->n_files < n; x->n_files++) {
		const char *name = shards_tokens_name(&s->mem, source, split, x->n_files);
		uint64_t here = MIN(left, s->file_tokens);
		if (named_file(r, json_array_get(list, x->n_files), name, x->hash[x->n_files]) < 0)
			return -1;
		if (map_file(r, name, here * s->id_bytes, &x->files[x->n_files]) < 0) {
			io_unmap(&x->files[x->n_files]);
			return -1;
		}
		left -= here;
	}
	return 0;
}

static int read_stream(const struct reading *r, struct shards_stream *x, const char *source, enum shards_split split,
                       const json_t *o)
{
	const json_t *index = json_object_get(o, "index");
	const char *name = shards_index_name(&r->s->mem, source, split);
	char hash[33];

	if (!json_is_object(o))
		return err_set(r->e, "%s: source '%s' has no \"%s\"", r->path, source, shards_split_name(split));
	if (whole_number(r, o, "tokens", MOST_TOKENS, &x->tokens) < 0 ||
	    whole_number(r, o, "documents", MOST_TOKENS, &x->documents) < 0 ||
	    whole_number(r, o, "bytes", MOST_TOKENS, &x->bytes) < 0)
		return -1;
	if (x->documents > x->tokens || !x->documents != !x->tokens)
		return err_set(r->e, "%s: source '%s' has %llu documents of %llu tokens", r->path, source,
		               (unsigned long long)x->documents, (unsigned long long)x->tokens);
	if (named_file(r, index, name, hash) < 0 || map_file(r, name, 8 * x->documents, &x->index) < 0 ||
	    check_index(r, x, name, hash) < 0)
		return -1;
	return read_files(r, x, source, split, json_object_get(o, "files"));
}

static int read_source(const struct reading *r, struct shards_source *x, const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "name"));

	if (!name || !shards_is_name(name))
		return refuse(r, "a source has no name of letters, digits, '.', '_' and '-'");
	x->name = arena_strdup(&r->s->mem, name);
	for (size_t i = 0; i < (size_t)(x - r->s->sources); i++)
		if (!strcmp(r->s->sources[i].name, name))
			return err_set(r->e, "%s: two sources are called '%s'", r->path, name);
	if (positive_number(r, o, "weight", &x->weight) < 0 || positive_number(r, o, "epochs", &x->epochs) < 0)
		return -1;
	for (int split = 0; split < SHARDS_SPLITS; split++)
		if (read_stream(r, &x->split[split], name, split, json_object_get(o, shards_split_name(split))) < 0)
			return -1;
	return 0;
}

/* --- the whole --- */

static int read_facts(const struct reading *r)
{
	struct shards *s = r->s;
	const json_t *j = s->manifest;
	const char *format = json_string_value(json_object_get(j, "format"));
	const char *tokenizer = json_string_value(json_object_get(j, "tokenizer"));
	uint64_t version = 0, vocabulary = 0, end = 0, id_bytes = 0;

	if (!format || strcmp(format, SHARDS_FORMAT) != 0)
		return refuse(r, "it is no manifest of shards (\"format\" is not \"" SHARDS_FORMAT "\")");
	if (whole_number(r, j, "version", INT32_MAX, &version) < 0)
		return -1;
	if (version != SHARDS_VERSION)
		return err_set(r->e, "%s: version %llu of shards; this program reads version %d", r->path,
		               (unsigned long long)version, SHARDS_VERSION);
	if (!tokenizer || strlen(tokenizer) != HEX)
		return refuse(r, "\"tokenizer\" is no hash of 32 digits");
	if (whole_number(r, j, "vocabulary", INT32_MAX, &vocabulary) < 0 ||
	    whole_number(r, j, "end_of_text", INT32_MAX, &end) < 0 ||
	    whole_number(r, j, "id_bytes", 4, &id_bytes) < 0 ||
	    whole_number(r, j, "file_tokens", MOST_FILE_TOKENS, &s->file_tokens) < 0)
		return -1;
	if (end >= vocabulary)
		return refuse(r, "\"end_of_text\" is no id of the vocabulary");
	if (!s->file_tokens || id_bytes != (vocabulary <= SHARDS_SMALL_VOCABULARY ? 2 : 4))
		return refuse(r, "\"file_tokens\" is 0, or \"id_bytes\" does not fit the vocabulary");
	s->tokenizer = arena_strdup(&s->mem, tokenizer);
	s->vocabulary = (uint32_t)vocabulary;
	s->end_of_text = (int32_t)end;
	s->id_bytes = (uint32_t)id_bytes;
	return 0;
}

static int read_sources(const struct reading *r)
{
	const json_t *list = json_object_get(r->s->manifest, "sources");
	size_t n = json_array_size(list);

	if (!json_is_array(list) || !n || n > SHARDS_SOURCES)
		return err_set(r->e, "%s: %zu sources; 1 to %d were wanted", r->path, n, SHARDS_SOURCES);
	r->s->sources = arena_array(&r->s->mem, n, sizeof(*r->s->sources));
	for (size_t i = 0; i < n; i++) {
		r->s->n_sources = i + 1; /* what it has mapped is released after an error too */
		if (read_source(r, &r->s->sources[i], json_array_get(list, i)) < 0)
			return -1;
	}
	return 0;
}

bool shards_are(const char *dir)
{
	char *path = io_join(dir, SHARDS_MANIFEST);
	struct err ignored = ERR_INIT;
	json_t *j = io_is_dir(dir) && io_exists(path) ? jsonx_load_file(path, &ignored) : NULL;
	const char *format = json_string_value(json_object_get(j, "format"));
	bool are = format && !strcmp(format, SHARDS_FORMAT);

	json_decref(j);
	mem_free(path);
	return are;
}

int shards_open(struct shards *s, const char *dir, struct err *e)
{
	char *path = io_join(dir, SHARDS_MANIFEST);
	struct reading r = { s, path, e };
	struct buf text = BUF_INIT;

	*s = (struct shards){ 0 };
	s->path = arena_strdup(&s->mem, dir);
	int status = io_read(&text, path, e);
	if (!status) {
		hash_hex(buf_str(&text), text.len, s->hash);
		s->manifest = jsonx_load(buf_str(&text), text.len, path, e);
		status = s->manifest ? 0 : -1;
	}
	buf_release(&text);
	if (!status)
		status = read_facts(&r) < 0 || read_sources(&r) < 0 ? -1 : 0;
	if (status < 0)
		shards_close(s);
	mem_free(path);
	return status;
}

void shards_close(struct shards *s)
{
	for (size_t i = 0; i < s->n_sources; i++)
		for (int split = 0; split < SHARDS_SPLITS; split++) {
			struct shards_stream *x = &s->sources[i].split[split];
			for (size_t k = 0; k < x->n_files; k++)
				io_unmap(&x->files[k]);
			io_unmap(&x->index);
		}
	json_decref(s->manifest);
	arena_release(&s->mem);
	*s = (struct shards){ 0 };
}

int shards_check_tokenizer(const struct shards *s, const struct tokenizer *t, struct err *e)
{
	char hex[33];

	shards_tokenizer_hash(t, hex);
	if (strcmp(hex, s->tokenizer) != 0)
		return err_set(e,
		               "%s was made with another tokenizer (%u tokens, hash %.8s…) than this one "
		               "(%zu tokens, hash %.8s…)",
		               s->path, s->vocabulary, s->tokenizer, tokenizer_size(t), hex);
	return 0;
}

int64_t shards_find(const struct shards *s, const char *name)
{
	for (size_t i = 0; i < s->n_sources; i++)
		if (!strcmp(s->sources[i].name, name))
			return (int64_t)i;
	return -1;
}

struct shards_stream shards_total(const struct shards *s, enum shards_split split)
{
	struct shards_stream sum = { 0 };

	for (size_t i = 0; i < s->n_sources; i++) {
		const struct shards_stream *x = &s->sources[i].split[split];
		sum.tokens += x->tokens;
		sum.documents += x->documents;
		sum.bytes += x->bytes;
	}
	return sum;
}

/* --- tokens --- */

/* n ids of one file; the largest. */
static uint32_t copy_ids(const struct shards *s, const uint8_t *from, size_t n, int32_t *ids)
{
	uint32_t most = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t id;
		if (s->id_bytes == 2) {
			uint16_t small;
			memcpy(&small, from + 2 * i, sizeof(small));
			id = small;
		} else {
			memcpy(&id, from + 4 * i, sizeof(id));
		}
		ids[i] = (int32_t)id;
		most = MAX(most, id);
	}
	return most;
}

int shards_read(const struct shards *s, size_t source, enum shards_split split, uint64_t at, size_t n, int32_t *ids,
                struct err *e)
{
	const struct shards_stream *x = &s->sources[source].split[split];

	if (at > x->tokens || n > x->tokens - at)
		BUG("tokens %llu to %llu of a stream of %llu", (unsigned long long)at, (unsigned long long)(at + n),
		    (unsigned long long)x->tokens);
	while (n) {
		size_t file = (size_t)(at / s->file_tokens);
		uint64_t in = at % s->file_tokens;
		size_t here = (size_t)MIN(s->file_tokens - in, (uint64_t)n);
		if (copy_ids(s, x->files[file].data + in * s->id_bytes, here, ids) >= s->vocabulary)
			return err_set(e,
			               "%s/%s-%s-%05zu.tokens holds an id beyond the vocabulary's %u: it was "
			               "changed",
			               s->path, s->sources[source].name, shards_split_name(split), file, s->vocabulary);
		at += here;
		ids += here;
		n -= here;
	}
	return 0;
}

uint64_t shards_document(const struct shards_stream *x, uint64_t i, uint64_t *n)
{
	uint64_t begin = index_at(x, i), end = i + 1 < x->documents ? index_at(x, i + 1) : x->tokens;

	*n = end - begin;
	return begin;
}

uint64_t shards_windows(const struct shards_stream *x, int32_t length)
{
	if (length < 1)
		BUG("a window of %d tokens", length);
	return x->tokens / (uint64_t)length;
}

/* The first document that begins behind `at`. */
static uint64_t document_after(const struct shards_stream *x, uint64_t at)
{
	uint64_t low = 0, high = x->documents;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		if (index_at(x, middle) > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int32_t shards_window(const struct shards *s, size_t source, enum shards_split split, uint64_t w, int32_t length,
                      int32_t *ids, int32_t *piece, struct err *e)
{
	const struct shards_stream *x = &s->sources[source].split[split];
	uint64_t begin = w * (uint64_t)length, end = begin + (uint64_t)length;
	int32_t n = 0;

	if (w >= shards_windows(x, length))
		BUG("window %llu of %llu", (unsigned long long)w, (unsigned long long)shards_windows(x, length));
	if (shards_read(s, source, split, begin, (size_t)length, ids, e) < 0)
		return -1;
	piece[n++] = 0;
	for (uint64_t i = document_after(x, begin); i < x->documents && index_at(x, i) < end; i++)
		piece[n++] = (int32_t)(index_at(x, i) - begin);
	return n;
}

int32_t shards_most_pieces(const struct shards_stream *x, int32_t length)
{
	uint64_t window = 0, end = shards_windows(x, length) * (uint64_t)length;
	int32_t most = 1, n = 1;

	for (uint64_t i = 0; i < x->documents && index_at(x, i) < end; i++) {
		uint64_t at = index_at(x, i);
		if (at / (uint64_t)length != window) {
			window = at / (uint64_t)length;
			n = 1;
		}
		n += at % (uint64_t)length != 0;
		most = MAX(most, n);
	}
	return most;
}

/* --- all of it --- */

static int verify_ends(const struct shards *s, size_t source, enum shards_split split, int32_t *ids, struct err *e)
{
	const struct shards_stream *x = &s->sources[source].split[split];
	uint64_t document = 0, n = 0, end = 0;

	for (uint64_t at = 0; at < x->tokens; at += VERIFY_TOKENS) {
		size_t here = (size_t)MIN((uint64_t)VERIFY_TOKENS, x->tokens - at);
		if (stop_look(e, "shards were verified") < 0 || shards_read(s, source, split, at, here, ids, e) < 0)
			return -1;
		for (size_t i = 0; i < here; i++) {
			if (at + i == end) {
				end = shards_document(x, document, &n);
				end += n;
				document++;
			}
			if (at + i + 1 == end && ids[i] != s->end_of_text)
				return err_set(e, "%s: document %llu of source '%s' ends without an end of text",
				               s->path, (unsigned long long)document, s->sources[source].name);
		}
	}
	return 0;
}

static int verify_files(const struct shards *s, size_t source, enum shards_split split, struct err *e)
{
	const struct shards_stream *x = &s->sources[source].split[split];
	char hex[33];

	for (size_t i = 0; i < x->n_files; i++) {
		struct hash_stream *h = hash_begin();
		size_t piece = (size_t)VERIFY_TOKENS * 4;
		for (size_t at = 0; at < x->files[i].size && !stop_asked(); at += piece)
			hash_add(h, x->files[i].data + at, MIN(piece, x->files[i].size - at));
		hash_end(h, hex);
		if (stop_look(e, "shards were verified") < 0)
			return -1;
		if (strcmp(hex, x->hash[i]) != 0)
			return err_set(e, "%s/%s-%s-%05zu.tokens is not what %s says of it: it was changed", s->path,
			               s->sources[source].name, shards_split_name(split), i, SHARDS_MANIFEST);
	}
	return 0;
}

int shards_verify(const struct shards *s, struct err *e)
{
	int32_t *ids = mem_array(VERIFY_TOKENS, sizeof(*ids));
	int status = 0;

	for (size_t i = 0; i < s->n_sources && !status; i++)
		for (int split = 0; split < SHARDS_SPLITS && !status; split++)
			status = verify_files(s, i, split, e) < 0 || verify_ends(s, i, split, ids, e) < 0 ? -1 : 0;
	mem_free(ids);
	return status;
}
