/* config_known: the tables. Sources: transformers 5.24's configuration_utils.py, modeling_rope_utils.py and
 * masking_utils.py; llama.cpp's llama-arch.cpp and llama-vocab.cpp. */
#include "model/config_known.h"

#define USED SETTING_USED
#define IS SETTING_IS
#define TOLD SETTING_TOLD
#define HARMLESS SETTING_HARMLESS

const struct setting config_known[] = {
	{ "model_type", USED, "the architecture", NULL },
	{ "eos_token_id", USED, "generate", NULL },
	{ "dtype torch_dtype", HARMLESS, "numbers are as the weights' file has them", NULL },
	{ "architectures _name_or_path name_or_path transformers_version transformers.js_config auto_map "
	  "_commit_hash tokenizer_class model_name unsloth_* mergekit_* *_version is_llama_config "
	  "max_sequence_length torchscript use_bfloat16 tf_legacy_loss custom_pipelines", HARMLESS,
	  "what it is called and what made it", NULL },
	{ "bos_token_id pad_token_id unk_token_id sep_token_id decoder_start_token_id prefix", HARMLESS,
	  "the tokenizer's are used", NULL },
	{ "router_jitter_noise", TOLD, "0", "of pretraining, and not applied when tuning" },
	{ "return_dict output_* use_return_dict use_cache _attn_implementation* attn_implementation "
	  "_experts_implementation* experts_implementation _flash_attn_2_enabled use_flash_attn use_kernels "
	  "gradient_checkpointing pretraining_tp chunk_size_feed_forward logits_to_keep", HARMLESS,
	  "how it is computed, not what", NULL },
	{ "id2label label2id num_labels _num_labels problem_type finetuning_task task_specific_params classifier_* "
	  "summary_*", HARMLESS, "of heads that classify", NULL },
	{ "initializer_* init_std", HARMLESS, "how weights began", NULL },
	{ "*_loss_coef *_loss_weight z_loss", HARMLESS, "of pretraining's loss (a mixture reads its own)", NULL },
	{ "dropout *_dropout *_dropout_prob *_pdrop", TOLD, "0", "of pretraining, and not applied when tuning" },
	{ "is_decoder", HARMLESS, "it is one", NULL },
	{ "is_encoder_decoder add_cross_attention tie_encoder_decoder", IS, "false", NULL },
	{ "cross_attention_hidden_size", IS, "empty", NULL },
	{ "is_causal use_causal_mask", IS, "true", NULL },
	{ "pruned_heads", IS, "empty", "no heads pruned" },
	{ "quantization_config", USED, "format/quantized.h", NULL },
	{ "compression_config", IS, "empty",
	  "weights that are stored plain (or as GGUF, which has its own quantized forms)" },
	{ "text_config vision_config audio_config per_layer_config", IS, "empty", NULL },
	{ "max_window_layers", HARMLESS, "of use_sliding_window, without which it says nothing", NULL },
	{ "use_sliding_window", IS, "false", NULL },
	{ "sliding_window attention_chunk_size", IS, "empty", "attention to all tokens" },
	{ "layer_types", IS, "full_attention attention", NULL },
	{ "no_rope_layers", IS, "empty", NULL },
	{ "attn_logit_softcapping", IS, "empty", "scores without a cap" },
	{ "rope_scaling rope_parameters partial_rotary_factor original_max_position_embeddings", USED,
	  "the architecture's positions, if they are rotary", NULL },
	/* of answers: read by generate where there is no generation_config.json (infer/generate_known.c) */
	{ "max_length max_new_tokens min_length min_new_tokens early_stopping max_time stop_strings do_sample "
	  "num_beams cache_implementation temperature top_k top_p min_p typical_p epsilon_cutoff eta_cutoff "
	  "repetition_penalty encoder_repetition_penalty length_penalty no_repeat_ngram_size "
	  "encoder_no_repeat_ngram_size bad_words_ids renormalize_logits forced_bos_token_id forced_eos_token_id "
	  "remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens "
	  "sequence_bias token_healing guidance_scale num_return_sequences return_dict_in_generate diversity_penalty "
	  "num_beam_groups", HARMLESS, "of generating", NULL },
	{ 0 },
};

const struct setting rope_known[] = {
	{ "rope_theta rope_type type partial_rotary_factor factor original_max_position_embeddings attention_factor "
	  "beta_fast beta_slow short_factor long_factor low_freq_factor high_freq_factor mscale mscale_all_dim "
	  "truncate", USED, "rope.h", NULL },
	{ "finetuned", HARMLESS, "how it was made", NULL },
	{ "*", IS, "empty", "only what is known of positions" },
	{ 0 },
};

const struct setting gguf_arch_known[] = {
	{ "vocab_size", HARMLESS, "the embedding has that many rows", NULL },
	{ "attention.key_length attention.value_length", HARMLESS, "the tensors' shapes say it", NULL },
	{ "embedding_length_out features_length pooling_type classifier.* dense_*", HARMLESS, "of embeddings", NULL },
	{ "tensor_data_layout", HARMLESS, "nobody reads it", NULL },
	{ "rope.dimension_count rope.scale_linear rope.scaling.type rope.scaling.factor rope.scaling.attn_factor "
	  "rope.scaling.original_context_length rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow "
	  "rope.scaling.yarn_log_multiplier", USED, "rope.h", NULL },
	{ "rope.scaling.finetuned", HARMLESS, "how it was made", NULL },
	{ "rope.scaling.yarn_ext_factor rope.scaling.yarn_attn_factor", IS, "1", NULL },
	{ "rope.scaling.alpha", IS, "0", NULL },
	{ "rope.dimension_sections", IS, "empty", NULL },
	{ "attention.layer_norm_epsilon attention.layer_norm_rms_epsilon", HARMLESS, "of the other kind of norm",
	  NULL },
	{ "attention.causal", IS, "true", NULL },
	{ "attention.sliding_window attention.sliding_window_pattern attention.clamp_kqv attention.max_alibi_bias "
	  "attention.temperature_length attention.temperature_scale attention.shared_kv_layers "
	  "attn_logit_softcapping final_logit_softcapping router_logit_softcapping expert_count expert_used_count "
	  "expert_shared_count nextn_predict_layers leading_dense_block_count interleave_moe_layer_step "
	  "n_deepstack_layers", IS, "0", NULL },
	{ "logit_scale residual_scale embedding_scale attention.output_scale attention.value_scale attention.scale "
	  "expert_weights_scale", IS, "0 1", NULL },
	{ "use_parallel_residual swin_norm", IS, "false", NULL },
	{ "hidden_activation", IS, "silu", NULL },
	{ 0 },
};

const struct setting gguf_other_known[] = {
	{ "general.architecture general.alignment", USED, "the reader", NULL },
	{ "general.type", IS, "model", NULL },
	{ "general.quantization_version", IS, "2", NULL },
	{ "general.sampling.*", USED, "generate", NULL },
	{ "general.*", HARMLESS, "what it is called and what made it", NULL },
	{ "split.*", USED, "the reader", NULL },
	{ "tokenizer.ggml.model tokenizer.ggml.pre tokenizer.ggml.tokens tokenizer.ggml.token_type "
	  "tokenizer.ggml.merges tokenizer.ggml.bos_token_id tokenizer.ggml.eos_token_id "
	  "tokenizer.ggml.unknown_token_id tokenizer.ggml.padding_token_id tokenizer.ggml.add_bos_token "
	  "tokenizer.ggml.seperator_token_id tokenizer.ggml.normalizer.lowercase "
	  "tokenizer.ggml.normalizer.strip_accents "
	  "tokenizer.chat_template", USED, "the tokenizer", NULL },
	{ "tokenizer.ggml.eot_token_id tokenizer.ggml.eom_token_id tokenizer.ggml.fim_pad_token_id "
	  "tokenizer.ggml.fim_rep_token_id tokenizer.ggml.fim_sep_token_id tokenizer.ggml.suppress_tokens", USED,
	  "generate", NULL },
	{ "tokenizer.ggml.add_eos_token tokenizer.ggml.add_sep_token", TOLD, "false",
	  "a token behind every text, which is not put there" },
	{ "tokenizer.ggml.scores", HARMLESS, "merges go by rank", NULL },
	{ "tokenizer.ggml.cls_token_id tokenizer.ggml.mask_token_id "
	  "tokenizer.ggml.fim_pre_token_id tokenizer.ggml.fim_suf_token_id tokenizer.ggml.fim_mid_token_id "
	  "tokenizer.ggml.prefix_token_id tokenizer.ggml.suffix_token_id tokenizer.ggml.middle_token_id", HARMLESS,
	  "roles that no text of ours has", NULL },
	{ "tokenizer.ggml.add_space_prefix tokenizer.ggml.remove_extra_whitespaces "
	  "tokenizer.ggml.precompiled_charsmap tokenizer.ggml.normalizer.* tokenizer.ggml.token_type_count",
	  HARMLESS, "of other kinds of tokenizers", NULL },
	{ "tokenizer.huggingface.json tokenizer.rwkv.world", HARMLESS, "the same in another form", NULL },
	{ "tokenizer.chat_templates tokenizer.chat_template.*", HARMLESS, "templates of other names", NULL },
	{ 0 },
};
