/* hub_cache: models by the name that they have in a hub, ORG/NAME, in the cache that Hugging Face's tools share: in
 * HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub a folder models--ORG--NAME with refs (a revision's commit),
 * snapshots (a folder a commit, of links) and blobs (files by their hash). Nothing is fetched here. */
#ifndef FORMAT_HUB_CACHE_H
#define FORMAT_HUB_CACHE_H

#include <stdbool.h>

#include "base/err.h"

bool hub_is_name(const char *text);     /* ORG/NAME, or ORG/NAME:FILE */
/* A model's folder in it, or a data set's, which need not be there; mem_free, or NULL: there is no home. */
char *hub_cache_repo(const char *name, bool dataset);
/* The folder of a name's main in it, of a data set too; mem_free, or NULL: it is not there. */
char *hub_cache_main(const char *name, bool dataset);
/* The path that a model's name means: itself where such a file or folder is there, or where it is no name of a hub's;
 * else the snapshot of main in the cache, or the one GGUF or the FILE in it. mem_free; NULL and a sentence. */
char *hub_resolve(const char *model, struct err *e);

#endif
