"""Which test shows each requirement on signing in, on rights and on consoles; every test named here is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOWN_BY: dict[str, dict[str, tuple[str, ...]]] = {
    # One authorization function; every way in declares what it needs; foreign and missing look alike.
    "WEB-1": {
        "architecture/test_permissions.py": ("test_every_page_declares_the_permission_it_needs",),
        "architecture/test_doors.py": (
            "test_every_route_of_the_api_is_closed_to_strangers",
            "test_who_has_no_permission_gets_nothing_from_the_api",
            "test_these_are_all_websockets_there_are",
        ),
        "architecture/test_rights_matrix.py": (
            "test_who_may_do_what_to_own_foreign_and_missing_objects_is_as_written_down",
            "test_a_foreign_and_a_missing_guest_cost_the_same",
        ),
        "integration/jobs/test_broker.py": ("test_tasks_take_nothing_but_an_id_and_leave_no_result",),
    },
    # Checked again when a job starts and at each delivery on a socket.
    "WEB-2": {
        "integration/jobs/test_jobs_run.py": ("test_a_right_that_was_taken_away_meanwhile_counts",),
        "integration/live/test_socket.py": (
            "test_people_hear_only_what_they_may_see",
            "test_rights_that_change_take_effect_at_once_when_it_is_said",
        ),
        "integration/api/test_events.py": ("test_a_right_that_is_lost_is_not_heard_any_more",),
    },
    # Looking changes nothing; every change by a cookie wants a token; token requests ignore cookies.
    "WEB-3": {
        "architecture/test_every_route.py": (
            "test_looking_changes_nothing",
            "test_nothing_is_sent_without_the_token_of_a_page_of_ours",
        ),
        "unit/api/test_door.py": ("test_beside_a_token_the_cookies_are_nobodys",),
    },
    # Strict headers on every answer, errors and files too; strict cookies; no violation in a browser.
    "WEB-4": {
        "architecture/test_every_route.py": (
            "test_every_answer_bears_the_headers",
            "test_errors_bear_the_headers_too",
            "test_cookies_of_https_are_bound_to_the_host_and_never_sent_in_clear",
        ),
        "integration/setup/test_nginx_serves.py": (
            "test_what_nginx_itself_answers_is_as_strict_as_the_pages",
            "test_headers_of_the_application_are_not_sent_twice",
        ),
        "e2e/test_looks.py": ("test_every_page_is_accessible_fits_and_is_translated",),
    },
    # Guessing is slow and locks nobody out; codes once; passkeys; recovery codes unreadable; no rows for strangers.
    "WEB-5": {
        "unit/accounts/test_throttle.py": (
            "test_five_failures_from_one_address_stop_the_sixth_even_with_the_right_password",
            "test_a_stranger_with_many_addresses_is_stopped_too",
            "test_strangers_do_not_keep_a_person_from_the_browser_they_use",
            "test_after_a_while_the_person_may_sign_in_again",
        ),
        "unit/accounts/test_second_factor.py": (
            "test_a_code_works_once_also_after_half_a_minute",
            "test_the_code_that_set_up_the_app_does_not_sign_in",
            "test_eight_wrong_codes_slow_guessing_and_lock_nobody_out_for_good",
            "test_secrets_of_apps_and_recovery_codes_are_not_readable_in_the_database",
            "test_recovery_codes_are_shown_once_and_work_once",
            "test_a_role_that_demands_a_second_factor_opens_nothing_without_one",
        ),
        "unit/accounts/test_passkeys.py": (
            "test_an_answer_is_good_for_one_sign_in",
            "test_what_was_signed_for_another_site_or_by_nobody_known_is_refused",
            "test_strangers_fill_no_table_however_often_they_come",
        ),
        "unit/accounts/test_password_links.py": ("test_it_does_not_stand_for_the_second_factor",),
        "unit/accounts/test_recent.py": (
            "test_after_ten_minutes_the_password_is_asked_for_and_then_the_page_comes",
            "test_people_roles_and_hosts_are_changed_by_who_confirmed_lately",
        ),
        "unit/accounts/test_sessions.py": (
            "test_ending_one_signs_it_out_at_once_and_says_so_to_open_pages",
            "test_who_does_nothing_for_two_hours_is_signed_out",
            "test_no_sign_in_lasts_longer_than_twelve_hours_however_busy",
        ),
        "integration/accounts/test_sign_in.py": ("test_one_signs_in_while_redis_hangs_and_guessing_stays_slow",),
        "e2e/test_sign_in.py": (
            "test_a_passkey_is_made_and_signs_in_alone",
            "test_an_authenticator_app_is_set_up_and_asked_for_and_a_recovery_code_stands_in",
            "test_a_session_that_is_ended_elsewhere_closes_its_pages_within_five_seconds",
        ),
    },
    # Tokens: once, hashed, prefix, end, scope and owner's rights, last use, revoked with their owner.
    "WEB-6": {
        "unit/accounts/test_tokens.py": (
            "test_a_token_is_random_enough_begins_so_that_scanners_know_it_and_is_kept_as_a_hash",
            "test_a_token_is_shown_once",
            "test_it_opens_what_its_owner_may_and_its_role_allows",
            "test_a_place_narrows_a_token",
            "test_it_ends_by_its_end_by_revocation_and_with_its_owner",
            "test_its_last_use_is_noted_at_most_once_a_minute",
        ),
        "unit/api/test_door.py": ("test_a_token_opens_what_its_owner_and_its_scope_both_allow",),
        "integration/api/test_events.py": (
            "test_a_revoked_token_a_disabled_person_and_a_session_that_ended_end_their_streams",
        ),
    },
    # Redis is out of others' reach; nothing is unpickled; messages carry ids only.
    "WEB-7": {
        "integration/setup/test_redis.py": (
            "test_nobody_else_on_the_machine_reaches_it",
            "test_it_listens_on_no_port",
        ),
        "integration/jobs/test_broker.py": (
            "test_a_pickled_message_is_refused_unread_and_the_worker_goes_on",
            "test_tasks_take_nothing_but_an_id_and_leave_no_result",
        ),
        "unit/accounts/test_throttle.py": ("test_signing_in_counts_in_the_database_and_needs_no_redis",),
    },
    # The audit log only grows, in the database too, and text in it does no harm.
    "WEB-8": {
        "unit/accounts/test_audit.py": (
            "test_the_database_refuses_to_change_or_remove_an_entry",
            "test_a_name_cannot_forge_a_line_of_the_page_or_steer_a_terminal",
        ),
        "unit/accounts/test_second_factor.py": ("test_a_wrong_code_is_audited_without_the_code",),
    },
    # Only our host, only believed proxies, only our own pages as next.
    "WEB-9": {
        "unit/accounts/test_next.py": (
            "test_signing_in_leads_to_our_pages",
            "test_so_does_the_second_step",
            "test_so_does_confirming_and_signing_out",
        ),
        "architecture/test_every_route.py": ("test_errors_bear_the_headers_too",),
        "integration/setup/test_nginx_serves.py": (
            "test_the_application_is_told_our_host_and_the_real_visitor_whatever_the_visitor_claims",
            "test_another_name_is_sent_to_ours",
        ),
        "unit/setup/test_nginx.py": ("test_nobody_is_believed_about_whom_they_forward_for_unless_said",),
    },
    # A guest's agent is an attacker.
    "WEB-10": {
        "integration/virt/test_hostile_agent.py": (
            "test_a_hostile_agent_holds_nobody_up_and_says_nothing_that_is_no_address",
        ),
        "unit/virt/test_addresses.py": (
            "test_the_agent_is_given_two_seconds_and_then_its_patience_back",
            "test_a_lying_guest_gets_no_markup_and_no_flood_through",
        ),
    },
    # Limits on consoles: each person, each guest, handshakes, sizes, silence.
    "CON-8": {
        "integration/consoles/test_limits.py": (
            "test_fifty_consoles_opened_at_once_by_one_person_are_sixteen_and_others_are_not_disturbed",
            "test_who_connects_and_says_nothing_is_cut_off_after_ten_seconds",
        ),
        "integration/consoles/test_screen.py": (
            "test_too_many_consoles_of_one_guest_are_refused",
            "test_a_frame_of_more_than_a_megabyte_ends_the_console",
        ),
        "integration/setup/test_nginx_serves.py": (
            "test_a_storm_of_console_handshakes_is_slowed_before_it_makes_processes",
        ),
    },
    # What a guest says is text.
    "CON-9": {
        "e2e/test_console_tools.py": ("test_what_a_guest_says_on_its_line_is_text",),
        "unit/virt/test_addresses.py": ("test_a_lying_guest_gets_no_markup_and_no_flood_through",),
        "architecture/test_requirements.py": ("test_no_script_listens_to_what_a_screen_calls_itself_or_copies",),
        "architecture/test_templates.py": (
            "test_a_script_never_makes_html_from_text",
            "test_a_template_trusts_no_text",
        ),
    },
    # Who may only watch cannot type: held in the gateway.
    "CON-10": {
        "unit/consoles/test_rfb.py": ("test_only_what_looks_passes_however_the_stream_is_cut",),
        "integration/consoles/test_screen.py": (
            "test_keys_reach_the_guest_unless_one_only_watches",
            "test_a_viewer_cannot_use_a_ticket_to_work",
        ),
        "integration/consoles/test_serial.py": ("test_a_viewer_watches_and_cannot_take_over",),
    },
    # Each kind of process under systemd is a user of its own with what it needs and no more.
    "ASVS 13.2.2": {
        "integration/deploy/test_installed.py": (
            "test_each_service_is_a_user_without_privileges",
            "test_systemd_finds_little_to_say_against_the_units",
            "test_the_web_user_cannot_read_the_credentials_that_it_took_in",
            "test_no_kind_reads_the_settings_and_memory_of_another",
            "test_redis_lets_each_kind_do_its_own_work",
        ),
        "integration/deploy/test_restored.py": ("test_it_moves_to_postgresql",),
    },
}


def named_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_none_is_left_out() -> None:
    assert set(SHOWN_BY) == {f"WEB-{number}" for number in range(1, 11)} | {"CON-8", "CON-9", "CON-10", "ASVS 13.2.2"}


@pytest.mark.parametrize("requirement", SHOWN_BY)
def test_every_requirement_has_tests_that_are_there(requirement: str) -> None:
    assert SHOWN_BY[requirement]
    for path, named in SHOWN_BY[requirement].items():
        assert set(named) <= named_in(path), f"{path}: {set(named) - named_in(path)}"


def test_no_script_listens_to_what_a_screen_calls_itself_or_copies() -> None:
    """noVNC tells a guest's name for its desktop and its clipboard by events; nobody here hears them."""
    for path in (ROOT / "static" / "js").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        for event in ("desktopname", '"clipboard"', "'clipboard'"):
            assert event not in text, f"{path.name} listens to {event}"
