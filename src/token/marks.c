/* marks: reading a decoder, pieces to bytes and back. */
#include "token/marks.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

enum { DEPTH_MAX = 8 };

void marks_find_bytes(struct marks *m, const struct vocab *v)
{
	char name[8];

	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "<0x%02X>", i);
		m->byte_id[i] = vocab_find(v, name, strlen(name));
	}
}

/* --- decoder --- */

static int read_replace(struct marks *m, const json_t *j, struct err *e)
{
	const char *from = json_string_value(json_object_get(json_object_get(j, "pattern"), "String"));
	const char *to = json_string_value(json_object_get(j, "content"));

	if (!from || !*from || strlen(from) >= sizeof(m->mark) || !to || strcmp(to, " ") != 0 || *m->mark)
		return err_set(e, "a decoder's Replace that is not of one mark by a space");
	strcpy(m->mark, from);
	return 0;
}

static int read_strip(struct marks *m, const json_t *j, struct err *e)
{
	const char *content;
	long long start, stop;

	if (jsonx_string(j, "content", " ", &content, e) || jsonx_int(j, "start", 0, &start, e) ||
	    jsonx_int(j, "stop", 0, &stop, e))
		return -1;
	if (strcmp(content, " ") != 0 || stop != 0 || start < 0 || start > 1)
		return err_set(
			e, "a decoder's Strip of \"%.16s\", %lld in front and %lld behind, wanted one space in front",
			content, start, stop);
	m->strip = (int)start;
	return 0;
}

static int read_metaspace(struct marks *m, const json_t *j, struct err *e)
{
	const char *mark, *scheme;
	int prefix;

	if (jsonx_string(j, "replacement", MARK, &mark, e) || jsonx_bool(j, "add_prefix_space", true, &prefix, e) ||
	    jsonx_string(j, "prepend_scheme", prefix ? "always" : "never", &scheme, e))
		return -1;
	if (strlen(mark) >= sizeof(m->mark))
		return err_set(e, "a decoder's replacement of %zu bytes, wanted one character", strlen(mark));
	strcpy(m->mark, mark);
	m->strip = strcmp(scheme, "never") != 0 ? -1 : 0;
	return 0;
}

static int read_any(struct marks *m, const json_t *j, int depth, struct err *e)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	const json_t *item;
	size_t i;

	if (type && !strcmp(type, "Sequence") && depth < DEPTH_MAX) {
		json_array_foreach(json_object_get(j, "decoders"), i, item)
			if (read_any(m, item, depth + 1, e))
				return -1;
		return 0;
	}
	if (type && !strcmp(type, "Replace"))
		return read_replace(m, j, e);
	if (type && !strcmp(type, "Strip"))
		return read_strip(m, j, e);
	if (type && !strcmp(type, "Metaspace"))
		return read_metaspace(m, j, e);
	if (type && !strcmp(type, "ByteFallback"))
		m->bytes = true;
	else if (!type || strcmp(type, "Fuse") != 0)
		return err_set(e, "decoder \"%.64s\" is not supported (Sequence, Replace, ByteFallback, Fuse, Strip, "
		                  "Metaspace are)",
		               type ? type : "without a type");
	return 0;
}

int marks_read(struct marks *m, const json_t *decoder, struct err *e)
{
	return decoder && !json_is_null(decoder) ? read_any(m, decoder, 0, e) : 0;
}

/* --- pieces --- */

static int byte_of(const struct piece *p)
{
	unsigned byte;
	char end;

	return p->n == 6 && sscanf(p->text, "<0x%2X%c", &byte, &end) == 2 && end == '>' ? (int)byte : -1;
}

void marks_piece(const struct marks *m, const struct piece *p, bool first, struct buf *out)
{
	size_t n = strlen(m->mark), at = 0;
	int strip = first ? m->strip : 0, byte = m->bytes ? byte_of(p) : -1;

	if (p->flags & PIECE_ADDED) {
		buf_add(out, p->text, p->n);
		return;
	}
	if (byte >= 0) {
		if (byte != ' ' || strip <= 0)
			buf_addc(out, (char)byte);
		return;
	}
	while (at < p->n) {
		bool mark = n && p->n - at >= n && !memcmp(p->text + at, m->mark, n);
		bool space = mark || (strip > 0 && at == 0 && p->text[at] == ' ');
		bool gone = space && (strip < 0 || (strip > 0 && at == 0));
		if (!gone)
			buf_add(out, mark ? " " : p->text + at, 1);
		at += mark ? n : 1;
	}
}

int32_t marks_find(const struct marks *m, const struct vocab *v, const char *bytes, size_t n)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		if (bytes[i] == ' ' && *m->mark)
			buf_adds(&text, m->mark);
		else
			buf_addc(&text, bytes[i]);
	int32_t id = text.len ? vocab_find(v, text.data, text.len) : -1;
	buf_release(&text);
	return id < 0 && n == 1 && m->bytes ? m->byte_id[(uint8_t)*bytes] : id;
}

/* --- GGUF --- */

json_t *marks_gguf_rules(const struct gguf *g, struct err *e)
{
	bool prefix, squeeze;

	if (gguf_bool(g, "tokenizer.ggml.add_space_prefix", false, true, &prefix, e) ||
	    gguf_bool(g, "tokenizer.ggml.remove_extra_whitespaces", false, false, &squeeze, e))
		return NULL;
	if (squeeze) {
		err_set(e, "tokenizer.ggml.remove_extra_whitespaces is true, which is not supported here");
		return NULL;
	}
	json_t *steps = json_array(), *decoders = json_array();
	if (prefix)
		json_array_append_new(steps, json_pack("{s:s,s:s}", "type", "Prepend", "prepend", MARK));
	json_array_append_new(steps, json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", " ",
	                                       "content", MARK));
	json_array_append_new(decoders, json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", MARK,
	                                          "content", " "));
	json_array_append_new(decoders, json_pack("{s:s}", "type", "ByteFallback"));
	json_array_append_new(decoders, json_pack("{s:s}", "type", "Fuse"));
	if (prefix)
		json_array_append_new(decoders, json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ", "start",
		                                          1, "stop", 0));
	return json_pack("{s:{s:s,s:o},s:n,s:n,s:{s:s,s:o}}", "normalizer", "type", "Sequence", "normalizers", steps,
	                 "pre_tokenizer", "post_processor", "decoder", "type", "Sequence", "decoders", decoders);
}
