"""What a metric's name says of which way is better, and of having no best at all."""

from __future__ import annotations

import pytest

from tracker.errors import BadValue
from tracker.policies import TRACKER, direction_of
from tracker.policies.metric_names import Better, better_by_name
from tracker.policies.modes import direction_by_name

HIGHER = """
acc accuracy val_accuracy val/top5_acc eval_accuracy test_acc train/acc_epoch top5 top_5 top1 val_top5
exact_match em score val_score success_rate eval/success_rate episode_return episode_reward mean_reward
rollout/ep_rew_mean reward win_rate hit_rate@10 recall@k f1 f1_macro val_f1_score MulticlassF1Score macro_f1
mAP mAP50 map_50 AUC roc_auc val_auc_1 pr_auc r2 r2_score MeanIoU mean_io_u iou_class_3 dice bleu sacrebleu
rougeL rouge_l bertscore_f1 psnr ssim ndcg@10 mrr cohen_kappa matthews_corrcoef spearmanr pearson pass@1
log_likelihood elbo neg_mean_squared_error neg_log_loss accuracy_cat valid_acc_best_epoch balanced_accuracy
explained_variance sharpe silhouette_score accuracy/dataloader_idx_0 val_acc/dataloader_idx_1
precision_at_recall tpr metrics/mAP50(B) metrics/precision(B) PSNR(dB) psnr_y CIDEr-D P@1 R@5 hr@10 TPR@FPR=0.01
tpr_at_5_fpr true_positive_rate log_prob logps/chosen mean_ll neg_loss -loss neg_mean_absolute_error solve_rate
conversion_rate HOTA PCK@0.2 g_mean cos_sim acc_l1 dice_coefficient neg_rmse top_1 completion_rate
"""
LOWER = """
loss val_loss eval_loss train/loss train_loss_epoch valid_loss test-loss loss/val validation.loss mse val_mse
RMSE mean_squared_error root_mean_squared_error mae smape nll neg_log_likelihood negative_log_likelihood
perplexity ppl wer cer FID fid_score brier_score ece error_rate top1_error val_error log_loss cross_entropy
crossentropy kl_div kl_divergence hausdorff chamfer_distance lpips bpd bits_per_dim pinball_loss crps fpr fnr
loss_2 loss/cifar10 dur_loss logloss valid_0_binary_logloss train-rmse eval-merror huber regret
word_error_rate neg_accuracy mlogloss rec_loss d_loss g_loss_total loss_giou losses/iou loss_D RMSE(m)
neg_elbo -elbo 1-acc one_minus_acc val/1-iou fpr_at_95_tpr fpr@95tpr error_top1 val_l1 L2 minADE mpjpe AbsRel
false_positives false_negative_rate minDCF nelbo neg_log_prob focal js_div crash_rate ppl_gpu0
"""
NEITHER = """
lr lr-Adam lr/group0 learning_rate learning_rate_1 optimizer/lr dur epoch_time time time_this_iter_s
train_runtime seconds step_ms elapsed throughput samples_per_second steps_per_second train_samples_per_second
it/s fps tokens/s tokens_per_sec epoch global_step step iteration n_samples num_tokens total_flos gpu_mem
memory_used grad_norm weight_decay momentum batch_size timesteps_total latency_ms images/sec frame_rate
entropy_coef kl_coef kl_beta loss_weight clip_fraction mfu tflops exploration_rate power_w energy_kwh cpu_percent
patience batch wd its
"""
SILENT = "x foo my_metric a b2 q17 alpha_zed"


@pytest.mark.parametrize(
    ("name", "better"),
    [
        *((name, Better.HIGHER) for name in HIGHER.split()),
        *((name, Better.LOWER) for name in LOWER.split()),
        *((name, Better.NEITHER) for name in NEITHER.split()),
        *((name, None) for name in SILENT.split()),
    ],
)
def test_a_name_says(name: str, better: Better | None) -> None:
    assert better_by_name(name) is better


@pytest.mark.parametrize("name", [*HIGHER.split(), *LOWER.split(), *NEITHER.split()])
def test_what_a_callback_decides_by_is_what_lists_say(name: str) -> None:
    """``mode="auto"`` refuses more names, but never decides the other way."""
    better = better_by_name(name)
    assert direction_by_name(name).mode == (None if better is Better.NEITHER else better.value)
    try:
        mode = direction_of(name, "auto", TRACKER)
    except BadValue:
        return
    assert mode == better.value
