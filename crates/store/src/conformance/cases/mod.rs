//! The cases, one file a subject.

mod conditions;
mod copying;
mod deleting;
mod keys;
mod levels;
mod listing;
mod multipart;
mod objects;
mod reading;
mod uploads;

use super::Case;

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$(Case { name: stringify!($name), run: |subject| Box::pin($module::$name(subject)) }),*]
    };
}

/// Every case, in the order of the report.
pub(super) const CASES: &[Case] = cases![
    objects::round_trip_of_sizes,
    objects::attributes_round_trip,
    objects::website_redirect_round_trips,
    objects::user_metadata_up_to_the_limit,
    objects::overwrite_replaces_everything,
    objects::body_of_another_length_publishes_nothing,
    objects::body_that_fails_publishes_nothing,
    objects::tags_are_kept_and_replaced,
    objects::delete_removes_and_repeats,
    objects::missing_bucket_is_not_a_missing_key,
    objects::prefixes_are_isolated,
    objects::probe_is_repeatable_and_leaves_nothing,
    reading::ranges,
    reading::ranges_outside_the_object_fail,
    reading::pinned_reads,
    reading::a_read_never_mixes_versions,
    conditions::put_if_absent,
    conditions::put_if_absent_has_one_winner,
    conditions::put_if_version,
    conditions::put_if_version_has_one_winner,
    conditions::complete_if_absent,
    conditions::complete_if_absent_has_one_winner,
    conditions::complete_if_version,
    conditions::delete_if_version,
    deleting::many_are_deleted_at_once,
    deleting::many_are_deleted_under_conditions,
    multipart::parts_out_of_order_from_two_handles,
    multipart::an_upload_is_invisible_until_completed,
    multipart::a_part_uploaded_again_is_replaced,
    multipart::parts_held_are_listed,
    multipart::a_missing_part_completes_nothing,
    multipart::parts_may_be_left_out,
    multipart::a_bad_part_body_leaves_no_part,
    multipart::small_parts_are_refused,
    multipart::completing_twice_changes_nothing,
    uploads::aborted_uploads_are_gone,
    uploads::uploads_are_listed,
    uploads::uploads_are_listed_in_pages,
    copying::copy_keeps_or_replaces_attributes,
    copying::copy_is_pinned,
    copying::copy_never_ignores_a_condition,
    copying::parts_are_copied,
    listing::pages_of_any_size,
    listing::more_than_a_thousand,
    listing::an_empty_place_lists_nothing,
    listing::goes_on_after_any_text,
    levels::a_level_in_pages_of_any_size,
    levels::a_level_passes_over_what_lies_deeper,
    keys::punctuation_and_unicode,
    keys::empty_segments,
    keys::dot_segments,
    keys::objects_beside_directories,
    keys::long_keys,
    keys::control_characters,
];
