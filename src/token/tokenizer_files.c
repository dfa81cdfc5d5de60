/* tokenizer_files: which file is what. */
#include "token/tokenizer_files.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "token/tokenizer_parts.h"

typedef struct tokenizer *opener(const char *path, json_t *config, struct err *e);

/* In the order in which a folder is looked through; `beside` must be there too. */
static const struct {
	const char *name, *beside;
	opener *open;
} names[] = {
	{ "vocab.json", "merges.txt", vocab_json_open },
	{ "encoder.json", "vocab.bpe", vocab_json_open },
	{ "tokenizer.model", NULL, NULL },
	{ "spiece.model", NULL, NULL },
	{ "sentencepiece.bpe.model", NULL, NULL },
	{ "spm.model", NULL, NULL },
	{ "*.tiktoken", NULL, tiktoken_open },
	{ "tiktoken.model", NULL, tiktoken_open },
	{ "vocab.txt", NULL, vocab_txt_open },
	{ "rwkv_vocab_*.txt", NULL, rwkv_open },
};

const char tokenizer_files_wanted[] = "tokenizer.json, vocab.json and merges.txt, tokenizer.model, spiece.model, "
				      "sentencepiece.bpe.model, *.tiktoken, vocab.txt, or rwkv_vocab_*.txt";

const struct token_model *token_model_of(const char *name)
{
	for (size_t i = 0; token_model_table[i]; i++)
		if (strcmp(token_model_table[i]->name, name) == 0)
			return token_model_table[i];
	BUG("no kind of tokenizer is called %s", name);
}

/* --- by content --- */

static bool is_tiktoken(const char *line, size_t n)
{
	size_t k = 0, space;
	while (k < n && (isalnum((unsigned char)line[k]) || strchr("+/=", line[k])))
		k++;
	space = k;
	if (k == 0 || k % 4 || k == n || line[k++] != ' ')
		return false;
	while (k < n && isdigit((unsigned char)line[k]))
		k++;
	return k == n && k > space + 1;
}

static bool is_rwkv(const char *line, size_t n)
{
	size_t k = 0;
	while (k < n && isdigit((unsigned char)line[k]))
		k++;
	return k && k + 4 < n && line[k] == ' ' &&
	       (strchr("'\"", line[k + 1]) || (line[k + 1] == 'b' && strchr("'\"", line[k + 2])));
}

static opener *judge(const char *path, struct err *e)
{
	struct buf data = BUF_INIT;
	opener *open = NULL;
	if (io_read(&data, path, e))
		return NULL;
	const char *text = buf_str(&data);
	size_t n = strcspn(text, "\r\n");
	if (data.len == 0)
		err_set(e, "%s is empty", path);
	else if (is_tiktoken(text, n))
		open = tiktoken_open;
	else if (is_rwkv(text, n))
		open = rwkv_open;
	else if (text[0] == '\n' && data.len > 4 && text[2] == '\n')
		open = sentencepiece_open;
	else if (fnmatch("*.json", path, 0) == 0)
		open = vocab_json_open;
	else if (fnmatch("*.txt", path, 0) == 0)
		open = vocab_txt_open;
	else
		err_set(e, "%s is no tokenizer that is known (wanted a folder, a GGUF, %s)", path,
		        tokenizer_files_wanted);
	buf_release(&data);
	return open;
}

struct tokenizer *tokenizer_files_open(const char *path, json_t *config, struct err *e)
{
	opener *open = judge(path, e);
	return open ? open(path, config, e) : NULL;
}

/* --- by name --- */

static char *find_name(const char *dir, char **list, size_t n, const char *pattern)
{
	for (size_t i = 0; i < n; i++)
		if (fnmatch(pattern, list[i], 0) == 0)
			return io_join(dir, list[i]);
	return NULL;
}

struct tokenizer *tokenizer_files_dir(const char *dir, json_t *config, bool *found, struct err *e)
{
	char **list = NULL, *path = NULL, *beside = NULL;
	struct tokenizer *t = NULL;
	size_t n = 0, i;
	*found = true;
	if (io_list(dir, &list, &n, e))
		return NULL;
	for (i = 0; i < ARRAY_LEN(names); i++) {
		path = find_name(dir, list, n, names[i].name);
		beside = names[i].beside ? find_name(dir, list, n, names[i].beside) : NULL;
		if (path && (!names[i].beside || beside))
			break;
		mem_free(path);
		mem_free(beside);
		path = beside = NULL;
	}
	*found = path;
	if (path)
		t = names[i].open ? names[i].open(path, config, e) : tokenizer_files_open(path, config, e);
	mem_free(path);
	mem_free(beside);
	io_list_free(list, n);
	return t;
}
