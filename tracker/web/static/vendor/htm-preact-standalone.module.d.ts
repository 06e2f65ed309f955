// What the page's scripts use of preact and htm.
type Set<S> = (next: S | ((was: S) => S)) => void;
export function html(strings: TemplateStringsArray, ...values: any[]): any;
export function render(what: any, where: Element): void;
export function useState<S>(first: S | (() => S)): [S, Set<S>];
export function useEffect(act: () => void | (() => void), inputs?: readonly any[]): void;
export function useLayoutEffect(act: () => void | (() => void), inputs?: readonly any[]): void;
export function useRef<T>(first: T): { current: T };
export function useMemo<T>(make: () => T, inputs: readonly any[]): T;
export function useCallback<F extends (...given: any[]) => any>(act: F, inputs: readonly any[]): F;
