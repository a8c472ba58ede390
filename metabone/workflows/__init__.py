"""What experiments, the command `metabone` and a user's script call, in a few lines each.

Names are imported when they are first asked for, so that `--help` waits for none of them.
"""

from metabone.lazy import lazy_names

_MODULES = {
    "adaptation": ("adapt",),
    "age_films": ("load_hands", "seen_in_all_views"),
    "age_keeping": ("age_model_of",),
    "age_model": ("AgeModel", "is_age_model", "load_age_model", "save_age_model"),
    "age_predictions": ("ages_in_words", "write_age_files"),
    "age_reading": ("keep_best",),
    "age_table": ("AgeTable",),
    "arms": ("Target", "both_models"),
    "backbones": (
        *("embed", "features_dir", "pretrain", "pretrained_backbone", "published_backbone"),
        *("scaled_features", "seen_fingerprints"),
    ),
    "class_parts": (
        *("ClassParts", "in_parts", "learned_here", "open_sources", "split_by_table"),
        *("split_images", "test_elsewhere"),
    ),
    "clinic_curve": ("Draws",),
    "clinic_files": ("calibration_in_words", "local_films", "write_calibration"),
    "comparison": ("Comparison", "compare"),
    "demo_films": ("write_demo_films",),
    "devices": ("make_devices",),
    "earlier_runs": (
        "shared_by_name",
        "shared_in_words",
        "classes_seen",
        "learned_folder",
        "searched_by",
        "with_backbone_of",
    ),
    "export": ("export_model",),
    "given_features": ("as_given", "open_embeddings", "split_embeddings"),
    "family": ("entry_of",),
    "family_features": ("features_in_words", "on_features"),
    "family_protocols": ("Protocol",),
    "family_table": ("FamilyTable",),
    "feature_table": ("FeatureData", "fill_feature_table"),
    "film_data": (
        *("FilmTarget", "HandParts", "apart", "as_target", "check_enough_films"),
        *("classes_to_learn", "graded_parts", "hands_to_learn", "is_simulated"),
        "learned_elsewhere",
    ),
    "film_learners": ("film_arms",),
    "film_table": ("Reading", "fill_film_table"),
    "key_point_errors": ("fill_error_rows",),
    "key_point_films": ("annotated_hands", "parted_films"),
    "key_points": ("train_key_points",),
    "learned_runs": ("arms_of", "load_learner"),
    "meta_training": ("meta_train",),
    "model": ("Model", "Predictions", "load"),
    "new_folder": ("check_new",),
    "networks": ("check_networks", "describe"),
    "point_net_files": ("WEIGHTS", "save_point_net"),
    "prediction_files": ("predictions_in_words", "write_prediction_files"),
    "hand_preparation": ("hands_in_words", "prepare_hands", "prepared_source"),
    "seeds": ("seed_of", "seeds_of", "trainings_of"),
    "target_sets": ("check_apart", "load_targets"),
    "task_table": ("TaskTable", "base_options", "fill_head_table", "fill_task_table"),
    "trained": ("Trained",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names},
)
