"""Takes up, after a restart, the executions that were running when the runner ended.

The SDK's executor keeps timers, completion events and dispatched invokes in memory only, so
this module re-creates them from the store. It does so with the executor's private methods, as
they are in version 1.4.0 of the testing SDK; the unit tests fail if a new version changes them.

What was under way is repeated: a handler or a stage may run twice, as on AWS. The checkpoint
token of the invocation that was under way is stale from here on and is refused.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from aws_durable_execution_sdk_python.lambda_service import (
    ErrorObject,
    OperationAction,
    OperationStatus,
    OperationType,
)
from aws_durable_execution_sdk_python_testing.execution import ExecutionStatus
from aws_durable_execution_sdk_python_testing.executor import Executor

if TYPE_CHECKING:
    from datetime import datetime

    from aws_durable_execution_sdk_python.lambda_service import Operation, OperationUpdate
    from aws_durable_execution_sdk_python_testing.execution import Execution

log = logging.getLogger("localcloud.recovery")


class RecoveringExecutor(Executor):
    """The SDK's executor, able to continue what an earlier process started."""

    # A failed handler invocation is repeated after this long; the SDK's default of 5 seconds
    # is the pace of a service, not of a person who waits.
    RETRY_BACKOFF_SECONDS = 1

    def recover(self) -> list[str]:
        """Continue every running execution of the store; return their ARNs."""
        running, _ = self._store.query(status_filter=ExecutionStatus.RUNNING.value)
        by_arn = {execution.durable_execution_arn: execution for execution in running}
        for execution in running:
            if self._is_orphan(execution, by_arn):
                self._stop_orphan(execution)
            else:
                self._continue(execution)
        return list(by_arn)

    def _is_orphan(self, execution: Execution, running: dict[str, Execution]) -> bool:
        """Tell whether the runner ended between creating a child and recording it.

        The parent then starts another child, and nothing waits for this one.
        """
        if execution.parent_execution_arn is None:
            return False
        parent = running.get(execution.parent_execution_arn)
        children = parent.chained_invoke_children.values() if parent else ()
        return execution.durable_execution_arn not in children

    def _stop_orphan(self, execution: Execution) -> None:
        log.info("stopping %s: its parent does not wait for it", execution.durable_execution_arn)
        reason = ErrorObject.from_message("The parent execution no longer waits for this one.")
        self.stop_execution(execution.durable_execution_arn, reason)

    def _continue(self, execution: Execution) -> None:
        arn = execution.durable_execution_arn
        log.info("continuing %s of %s", arn, execution.start_input.function_name)
        self._completion_events[arn] = self._scheduler.create_event()
        self._rearm_execution_timeout(execution)
        for operation in execution.operations:
            if operation.status is OperationStatus.STARTED:
                self._continue_operation(execution, operation)
        # Waits and step retries share one timer.
        self._schedule_earliest_pending(arn)
        self._invoke_execution(arn)

    def _rearm_execution_timeout(self, execution: Execution) -> None:
        arn = execution.durable_execution_arn
        allowed = execution.start_input.execution_timeout_seconds
        if allowed <= 0:
            return
        started = execution.get_operation_execution_started().start_timestamp
        error = ErrorObject.from_message(f"Execution timed out after {allowed} seconds.")
        self._execution_timeouts[arn] = self._scheduler.call_later(
            lambda: self.on_timed_out(arn, error),
            delay=self._seconds_left(started, allowed),
            completion_event=self._completion_events[arn],
        )

    def _continue_operation(self, execution: Execution, operation: Operation) -> None:
        start = _start_update(execution, operation)
        if start is None:
            return
        if operation.operation_type is OperationType.CHAINED_INVOKE:
            self._continue_chained_invoke(execution, start)
        elif operation.operation_type is OperationType.CALLBACK:
            self._rearm_callback(execution, operation, start)

    def _continue_chained_invoke(self, execution: Execution, start: OperationUpdate) -> None:
        child_arn = execution.chained_invoke_children.get(start.operation_id)
        if child_arn is not None:
            self._continue_child(child_arn)
        elif start.chained_invoke_options is not None:
            self.on_chained_invoke_started(
                execution_arn=execution.durable_execution_arn,
                operation_id=start.operation_id,
                function_name=start.chained_invoke_options.function_name,
                tenant_id=start.chained_invoke_options.tenant_id,
                payload=start.payload,
            )

    def _continue_child(self, child_arn: str) -> None:
        """Report a child that ended unheard; a running one is continued for itself."""
        if self.get_execution(child_arn).is_complete:
            self._notify_parent_of_terminal_child(child_arn)

    def _rearm_callback(
        self, execution: Execution, operation: Operation, start: OperationUpdate
    ) -> None:
        details, options = operation.callback_details, start.callback_options
        if details is None or options is None:
            return
        remaining = replace(
            options,
            timeout_seconds=self._whole_seconds_left(operation, options.timeout_seconds),
            heartbeat_timeout_seconds=self._whole_seconds_left(
                operation, options.heartbeat_timeout_seconds
            ),
        )
        self._schedule_callback_timeouts(
            execution.durable_execution_arn, remaining, details.callback_id
        )

    def _whole_seconds_left(self, operation: Operation, allowed: int) -> int:
        """Return 0, which means no limit, for no limit, else at least one second."""
        if allowed <= 0:
            return 0
        return max(1, round(self._seconds_left(operation.start_timestamp, allowed)))

    def _seconds_left(self, started: datetime | None, allowed: int) -> float:
        if started is None:
            return float(allowed)
        return max(0.0, allowed - (self._clock.now() - started).total_seconds())


def _start_update(execution: Execution, operation: Operation) -> OperationUpdate | None:
    for update in execution.updates:
        if update.operation_id == operation.operation_id and update.action is OperationAction.START:
            return update
    return None
